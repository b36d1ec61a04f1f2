package app

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"os"

	"pqfront/internal/demo"
	"pqfront/internal/edge/origin"
	"pqfront/internal/localca"
	"time"
)

// newOrigins makes the client of all origins from the flags, all mistakes at once.
func (p *process) newOrigins() (*origin.Client, error) {
	opts := origin.Options{
		Endpoints: map[string]*url.URL{}, Resolve: map[string]string{}, Logger: p.Logger,
		Credentials: origin.EnvCredentials(func(k string) string { return p.Env[k] }, p.Env["HOME"]),
	}
	var errs []error
	for _, e := range p.OriginEndpoints {
		name, u, err := origin.ParseEndpoint(e)
		if err != nil {
			errs = append(errs, fmt.Errorf("--origin-endpoint: %w", err))
			continue
		}
		opts.Endpoints[name] = u
	}
	for _, r := range p.Resolve {
		host, addr, err := origin.ParseResolve(r)
		if err != nil {
			errs = append(errs, fmt.Errorf("--resolve: %w", err))
			continue
		}
		opts.Resolve[host] = addr
	}
	if p.demo != nil {
		opts.Resolve[demo.OriginHost] = p.demo.addr
	}
	for _, file := range p.OriginCAs {
		roots, err := readRoots(file)
		if err != nil {
			errs = append(errs, fmt.Errorf("--origin-ca: %w", err))
		}
		opts.ExtraRoots = append(opts.ExtraRoots, roots...)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, &ConfigError{Text: err.Error()}
	}
	return origin.New(opts), nil
}

func readRoots(file string) ([]*x509.Certificate, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var roots []*x509.Certificate
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		roots = append(roots, cert)
	}
	if len(roots) == 0 {
		return nil, fmt.Errorf("%s has no certificate in PEM", file)
	}
	return roots, nil
}

// doorTLS is the configuration of the operators' addresses: a certificate of the local
// CA for localhost, TLS 1.3 or 1.2, post-quantum groups as Go has them by default.
func (p *process) doorTLS() (*tls.Config, error) {
	chain, key, err := p.ca.Leaf(localca.P256, []string{"localhost", "127.0.0.1", "::1"}, time.Now())
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}, nil
}
