package app

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"pqfront/internal/cdn"
	"pqfront/internal/certs"
	"pqfront/internal/localca"
)

// certificates finds the certificates of distributions: the owner's files, or the local
// CA's when there are none.
type certificates struct {
	files []CertificateFile
	ca    *localca.CA
}

// read reads and checks the owner's files, all problems at once.
func (c *certificates) read(now time.Time) ([]*certs.Certificate, error) {
	var out []*certs.Certificate
	var errs []error
	for _, f := range c.files {
		chain, err := os.ReadFile(f.Chain)
		if err != nil {
			errs = append(errs, fmt.Errorf("--cert: %w", err))
			continue
		}
		key, err := os.ReadFile(f.Key)
		if err != nil {
			errs = append(errs, fmt.Errorf("--key: %w", err))
			continue
		}
		cert, err := certs.Parse(chain, key, now)
		if err != nil {
			errs = append(errs, fmt.Errorf("--cert %s --key %s: %w", f.Chain, f.Key, err))
			continue
		}
		out = append(out, cert)
	}
	return out, errors.Join(errs...)
}

// resolve gives every enabled distribution its certificates.
func (c *certificates) resolve(list []*cdn.Distribution, now time.Time) (map[string][]tls.Certificate, error) {
	owners, err := c.read(now)
	if err != nil {
		return nil, err
	}
	out := make(map[string][]tls.Certificate, len(list))
	var errs []error
	for _, d := range list {
		if !d.Enabled {
			continue
		}
		if len(owners) > 0 {
			out[d.ID], err = covering(owners, d)
		} else {
			out[d.ID], err = c.issue(namesOf(d), now)
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	return out, errors.Join(errs...)
}

// namesOf are the names that a distribution's certificate must cover.
func namesOf(d *cdn.Distribution) []string {
	if len(d.Aliases) == 0 {
		return []string{d.DomainName}
	}
	return d.Aliases
}

// covering returns those of the owner's certificates that cover all names of d.
func covering(owners []*certs.Certificate, d *cdn.Distribution) ([]tls.Certificate, error) {
	var out []tls.Certificate
	names := namesOf(d)
	missing := names
	for _, cert := range owners {
		var lacks []string
		for _, n := range names {
			if !cert.Covers(n) {
				lacks = append(lacks, n)
			}
		}
		if len(lacks) == 0 {
			out = append(out, *cert.TLS())
			continue
		}
		if len(lacks) < len(missing) {
			missing = lacks
		}
	}
	if len(out) > 0 {
		return out, nil
	}
	return nil, fmt.Errorf("%s: Aliases: no --cert covers %s: add a certificate whose names include all aliases of the distribution, or leave out --cert to let the local CA issue one",
		sourceOf(d), strings.Join(missing, ", "))
}

func sourceOf(d *cdn.Distribution) string {
	if d.Source != "" {
		return d.Source
	}
	return "distribution " + d.ID
}

// issue has the local CA make a P-256 and an RSA-2048 certificate.
func (c *certificates) issue(names []string, now time.Time) ([]tls.Certificate, error) {
	var out []tls.Certificate
	for _, kind := range []localca.KeyKind{localca.P256, localca.RSA2048} {
		chain, key, err := c.ca.Leaf(kind, names, now)
		if err != nil {
			return nil, err
		}
		pair, err := tls.X509KeyPair(chain, key)
		if err != nil {
			return nil, fmt.Errorf("the local CA's certificate for %s: %w", names[0], err)
		}
		out = append(out, pair)
	}
	return out, nil
}
