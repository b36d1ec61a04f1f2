package viewertls

import (
	"crypto/tls"
	"slices"
	"sync"
	_ "unsafe" // for go:linkname
)

// This file is the only one that reaches into crypto/tls. Stock crypto/tls has no
// setting for TLS 1.3 suites and takes ChaCha20-Poly1305 first for a client that
// lists it first, or on a machine without AES instructions; CloudFront takes
// AES-128-GCM whatever the client prefers. Both variables carry the library's note
// "do not remove or change the type signature" (go.dev/issue/67401).
// TestSuiteOrder fails when this stops working.

//go:linkname defaultCipherSuitesTLS13 crypto/tls.defaultCipherSuitesTLS13
var defaultCipherSuitesTLS13 []uint16

//go:linkname defaultCipherSuitesTLS13NoAES crypto/tls.defaultCipherSuitesTLS13NoAES
var defaultCipherSuitesTLS13NoAES []uint16

// serverSuiteOrder makes forceServerSuiteOrder run once in a process, because what
// it changes belongs to the process.
var serverSuiteOrder sync.Once

// forceServerSuiteOrder makes crypto/tls choose TLS 1.3 suites in the order of
// CloudFront's policies for all clients. It must have run before the first
// handshake; New sees to that. A variable that is in order already is only read, so
// that handshakes of others that are under way are not disturbed.
func forceServerSuiteOrder() {
	serverSuiteOrder.Do(func() {
		order := []uint16{tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384, tls.TLS_CHACHA20_POLY1305_SHA256}
		for _, list := range []*[]uint16{&defaultCipherSuitesTLS13, &defaultCipherSuitesTLS13NoAES} {
			if !slices.Equal(*list, order) {
				*list = slices.Clone(order)
			}
		}
	})
}
