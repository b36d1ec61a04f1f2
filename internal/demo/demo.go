// Package demo answers: what does a first start serve, when the owner brings nothing?
//
// It holds a small site, a file of 100 MiB that takes no disk, and three distributions
// in CloudFront's own JSON that differ in their security policy only. The site's
// origin stands in for the article's S3 bucket and answers with S3's response fields.
package demo

import (
	"bytes"
	"embed"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"strings"
	"text/template"
	"time"
)

//go:embed site config/distribution.json
var files embed.FS

// OriginHost is the demo origin's name in the distributions; it must be resolved to
// the address that Origin is served on.
const OriginHost = "demo-origin.localhost"

// LargeSize is the length of /large.bin in bytes.
const LargeSize = 100 << 20

// Host is one demo distribution.
type Host struct {
	Alias, Policy string
}

// Hosts are the demo distributions, loosest policy first.
func Hosts() []Host {
	return []Host{
		{"tls12.localhost", "TLSv1.2_2021"},
		{"tls13.localhost", "TLSv1.3_2025"},
		{"pq.localhost", "PQFront_TLSv1.3_PQ_2026"},
	}
}

// Config is the demo distribution of h, as `aws cloudfront get-distribution-config`
// prints it, with its origin at OriginHost:originPort.
func Config(h Host, originPort uint16) ([]byte, error) {
	tmpl, err := template.ParseFS(files, "config/distribution.json")
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = tmpl.Execute(&out, map[string]any{
		"Alias":         h.Alias,
		"Policy":        h.Policy,
		"OriginHost":    OriginHost,
		"OriginPort":    originPort,
		"CertificateID": fmt.Sprintf("00000000-0000-4000-8000-%012x", fnv([]byte(h.Alias))>>16),
	})
	return out.Bytes(), err
}

// modified is the site's Last-Modified: fixed, so that validators survive a restart.
var modified = time.Date(2025, 9, 7, 13, 0, 0, 0, time.UTC)

// Origin serves the demo site like an S3 bucket: GET and HEAD, validators, ranges.
func Origin() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Server", "AmazonS3")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.Error(w, "the demo bucket is read-only", http.StatusMethodNotAllowed)
			return
		}
		body, ok := open(r.URL.Path)
		if !ok {
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchKey</Code><Message>There is no such object in the demo bucket.</Message></Error>")
			return
		}
		w.Header().Set("X-Amz-Server-Side-Encryption", "AES256")
		w.Header().Set("ETag", body.etag)
		if t := mime.TypeByExtension(path.Ext(r.URL.Path)); t != "" {
			w.Header().Set("Content-Type", strings.TrimSuffix(t, "; charset=utf-8"))
		}
		http.ServeContent(w, r, r.URL.Path, modified, body)
	})
}

type object struct {
	io.ReadSeeker
	etag string
}

func open(p string) (object, bool) {
	if p == "/large.bin" {
		return object{newPattern(LargeSize), `"demo-large-1"`}, true
	}
	data, err := files.ReadFile("site" + path.Clean("/"+p))
	if err != nil {
		return object{}, false
	}
	return object{bytes.NewReader(data), fmt.Sprintf(`"demo-%x"`, fnv(data))}, true
}

// fnv is FNV-1a: an entity tag needs no more than to change with the content.
func fnv(data []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range data {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h
}

// pattern is a file of any size without storage: a block of bytes over and over.
type pattern struct {
	*io.SectionReader
}

func newPattern(size int64) pattern {
	block := make([]byte, 64<<10)
	x := uint32(2463534242) // Marsaglia's xorshift32 with his seed: bytes that do not compress
	for i := range block {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		block[i] = byte(x)
	}
	return pattern{io.NewSectionReader(repeat(block), 0, size)}
}

// repeat is an endless io.ReaderAt.
type repeat []byte

// ReadAt implements io.ReaderAt.
func (r repeat) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) {
		n += copy(p[n:], r[(off+int64(n))%int64(len(r)):])
	}
	return n, nil
}
