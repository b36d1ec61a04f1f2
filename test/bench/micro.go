package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"runtime"
	"syscall"
	"time"

	"pqfront/internal/clienthello"
	"pqfront/internal/tlspolicy"
)

// micro is a step that is measured alone, in this process, against a limit.
type micro struct {
	Name      string  `json:"name"`
	Micros    float64 `json:"us"`
	MaxMicros float64 `json:"max_us"`
	Allocs    float64 `json:"allocs"`
	MaxAllocs float64 `json:"max_allocs"`

	prepare func() (step func() error, err error)
}

const microCalls = 5000 // of one sample

func micros() []micro {
	return []micro{
		{Name: "parse a ClientHello and decide", MaxMicros: 3, MaxAllocs: 10, prepare: parseAndDecide},
	}
}

// measure takes the median CPU time, and the allocations, of one step.
func (m *micro) measure(rounds int) error {
	step, err := m.prepare()
	if err != nil {
		return err
	}
	runtime.LockOSThread() // the clock is the thread's
	defer runtime.UnlockOSThread()
	var samples []float64
	var before, after runtime.MemStats
	for range rounds + 1 {
		runtime.ReadMemStats(&before)
		start, err := threadCPU()
		if err != nil {
			return err
		}
		for range microCalls {
			if err := step(); err != nil {
				return err
			}
		}
		end, err := threadCPU()
		if err != nil {
			return err
		}
		runtime.ReadMemStats(&after)
		samples = append(samples, float64((end-start).Nanoseconds())/1000/microCalls)
		m.Allocs = float64((after.Mallocs - before.Mallocs) / microCalls)
	}
	m.Micros = quantile(samples[1:], 0.5) // the first one warms up
	return nil
}

// parseAndDecide is what viewertls does before crypto/tls starts, on the hello of Go's
// own client, which is as long as a browser's.
func parseAndDecide() (func() error, error) {
	msg, err := clientHello()
	if err != nil {
		return nil, err
	}
	p, err := tlspolicy.Lookup("TLSv1.2_2021")
	if err != nil {
		return nil, err
	}
	server := tlspolicy.Server{ALPN: []string{"h2", "http/1.1"},
		Certificates: []tlspolicy.Certificate{{Key: tlspolicy.RSA, RSABits: 2048}, {Key: tlspolicy.ECDSAP256}}}
	return func() error {
		h, err := clienthello.Parse(tlspolicy.TCP, msg)
		if err != nil {
			return err
		}
		if out := tlspolicy.Decide(&h.Offer, p, server); out.Refused {
			return errors.New("refused: " + string(out.Reason))
		}
		return nil
	}, nil
}

// clientHello is the message that crypto/tls's client sends first.
func clientHello() ([]byte, error) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	go func() {
		defer theirs.Close()
		tls.Client(theirs, &tls.Config{ServerName: ecdsaHost, NextProtos: []string{"h2", "http/1.1"}}).Handshake()
	}()
	var record [5]byte
	if _, err := io.ReadFull(ours, record[:]); err != nil {
		return nil, err
	}
	msg := make([]byte, int(record[3])<<8|int(record[4]))
	_, err := io.ReadFull(ours, msg)
	return msg, err
}

// signatureCost tells how fast this machine is just now: the CPU time of one P-256
// signature.
func signatureCost() (float64, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return 0, err
	}
	digest := sha256.Sum256([]byte("how fast is this machine?"))
	m := micro{prepare: func() (func() error, error) {
		return func() error {
			_, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
			return err
		}, nil
	}}
	err = m.measure(3)
	return m.Micros, err
}

// threadCPU is the CPU time of the calling thread.
func threadCPU() (time.Duration, error) {
	const rusageThread = 1 // getrusage(2)
	var u syscall.Rusage
	if err := syscall.Getrusage(rusageThread, &u); err != nil {
		return 0, err
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}
