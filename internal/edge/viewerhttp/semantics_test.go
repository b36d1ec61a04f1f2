package viewerhttp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// These tests hold for every HTTP version; their judge is somebody else's client.

// site answers by path.
func site(ctx context.Context, r *Request, w Responder) {
	status, resp := 200, &Response{}
	n, _ := strconv.Atoi(r.Path[strings.LastIndexByte(r.Path, '/')+1:])
	body := bytes.Repeat([]byte("0123456789"), n/10+1)[:n]
	switch {
	case strings.HasPrefix(r.Path, "/bytes/"):
		resp.Bytes = body
	case strings.HasPrefix(r.Path, "/stream/"):
		resp.Stream, resp.Length = &stream{Reader: struct{ io.Reader }{bytes.NewReader(body)}}, int64(n)
	case strings.HasPrefix(r.Path, "/writerto/"):
		resp.Stream, resp.Length = io.NopCloser(bytes.NewReader(body)), int64(n)
	case strings.HasPrefix(r.Path, "/endless/"):
		resp.Stream, resp.Length = &stream{Reader: struct{ io.Reader }{bytes.NewReader(body)}}, -1
	case strings.HasPrefix(r.Path, "/short/"):
		resp.Stream, resp.Length = &stream{Reader: struct{ io.Reader }{bytes.NewReader(body)}}, int64(n)+1
	case strings.HasPrefix(r.Path, "/status/"):
		status = n
	case r.Path == "/echo":
		b, err := io.ReadAll(r.Body)
		if err != nil {
			status = 400
		}
		resp.Bytes = b
	case r.Path == "/unread":
		resp.Bytes = []byte("not needed")
	case r.Path == "/request":
		resp.Bytes = []byte(r.Method + " " + r.Scheme + " " + r.Authority + " " + r.Query + " " + r.Header.Joined("x-a") + " " +
			strconv.FormatInt(r.ContentLength, 10) + " " + strconv.FormatBool(r.Body == nil))
	}
	resp.Status = status
	if resp.Stream == nil {
		resp.Length = int64(len(resp.Bytes))
	}
	resp.Header = fields("content-type", "text/plain")
	if resp.Length >= 0 && status != 204 && status != 304 {
		resp.Header.Add("content-length", strconv.FormatInt(resp.Length, 10))
	}
	resp.Header.Add("x-cache", "Hit from cloudfront")
	w.Respond(resp)
}

// asker sends requests of one client to one base address.
type asker struct {
	t    *testing.T
	rt   http.RoundTripper
	base string
}

func (a asker) do(method, path string, body io.Reader, header ...string) (*http.Response, string, error) {
	a.t.Helper()
	req, err := http.NewRequestWithContext(a.t.Context(), method, a.base+path, body)
	if err != nil {
		a.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := a.rt.RoundTrip(req)
	if err != nil {
		a.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp, string(b), err
}

// breaks reports whether an answer breaks off. Over HTTP/3 a reset may overtake the
// head, so that the round trip itself fails.
func (a asker) breaks(path string) bool {
	req, err := http.NewRequestWithContext(a.t.Context(), "GET", a.base+path, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	resp, err := a.rt.RoundTrip(req)
	if err != nil {
		return true
	}
	defer resp.Body.Close()
	_, err = io.ReadAll(resp.Body)
	return err != nil
}

func newAsker(t *testing.T, m mode) asker {
	rt, base := m.start(t, &Engine{Handler: handlerFunc(site)})
	return asker{t, rt, base}
}

func TestBodies(t *testing.T) {
	run(t, func(t *testing.T, m mode) {
		a := newAsker(t, m)
		for _, kind := range []string{"bytes", "stream", "writerto", "endless"} {
			for _, n := range []int{0, 1, 1000, 16384, 40000, 300000} {
				size := strconv.Itoa(n)
				resp, body, err := a.do("GET", "/"+kind+"/"+size, nil)
				want := strings.Repeat("0123456789", n/10+1)[:n]
				if err != nil || body != want || resp.StatusCode != 200 || resp.Header.Get("X-Cache") != "Hit from cloudfront" {
					t.Errorf("%s of %d bytes: %d, %d bytes, %v", kind, n, resp.StatusCode, len(body), err)
				}
				if kind != "endless" && resp.Header.Get("Content-Length") != size {
					t.Errorf("%s of %d bytes: content-length %q", kind, n, resp.Header.Get("Content-Length"))
				}
				resp, body, err = a.do("HEAD", "/"+kind+"/"+size, nil)
				if err != nil || body != "" || kind != "endless" && resp.Header.Get("Content-Length") != size {
					t.Errorf("HEAD %s of %d bytes: %q, %v, %v", kind, n, body, resp.Header, err)
				}
			}
		}
		if !a.breaks("/short/50000") {
			t.Error("a body that ended early looked whole")
		}
	})
}

func TestStatuses(t *testing.T) {
	run(t, func(t *testing.T, m mode) {
		a := newAsker(t, m)
		for _, status := range []int{200, 204, 301, 304, 403, 404, 421, 494, 500, 504} {
			resp, body, err := a.do("GET", "/status/"+strconv.Itoa(status), nil)
			if err != nil || resp.StatusCode != status || body != "" {
				t.Errorf("%d: %d %q %v", status, resp.StatusCode, body, err)
			}
		}
	})
}

func TestRequests(t *testing.T) {
	run(t, func(t *testing.T, m mode) {
		a := newAsker(t, m)
		scheme, host, _ := strings.Cut(a.base, "://")
		for _, method := range []string{"GET", "OPTIONS", "DELETE", "PATCH", "TRACE", "BREW"} {
			_, body, err := a.do(method, "/request?q=1&q=%zz", nil, "X-A", "1", "X-A", "2")
			want := method + " " + scheme + " " + host + " q=1&q=%zz 1, 2 0 true"
			if err != nil || body != want {
				t.Errorf("%s: %q, %v; want %q", method, body, err, want)
			}
		}
		_, body, err := a.do("POST", "/request", strings.NewReader("abc"))
		if want := "POST " + scheme + " " + host + "   3 false"; err != nil || body != want {
			t.Errorf("POST: %q, %v; want %q", body, err, want)
		}
	})
}

func TestUploads(t *testing.T) {
	run(t, func(t *testing.T, m mode) {
		a := newAsker(t, m)
		for _, n := range []int{1, 100, 5000, 100000, 1 << 20} {
			up := bytes.Repeat([]byte("u"), n)
			for _, name := range []string{"sized", "unsized"} {
				for _, expect := range [][]string{nil, {"Expect", "100-continue"}} {
					var body io.Reader = bytes.NewReader(up)
					if name == "unsized" {
						body = struct{ io.Reader }{body}
					}
					resp, got, err := a.do("PUT", "/echo", body, expect...)
					if err != nil || resp.StatusCode != 200 || got != string(up) {
						t.Errorf("%s upload of %d bytes, %q: %d, %d bytes, %v", name, n, expect, resp.StatusCode, len(got), err)
					}
				}
			}
		}
		for _, n := range []int{1, 1000, 1 << 20} {
			resp, got, err := a.do("PUT", "/unread", bytes.NewReader(make([]byte, n)))
			if err != nil || resp.StatusCode != 200 || got != "not needed" {
				t.Errorf("unread upload of %d bytes: %d %q %v", n, resp.StatusCode, got, err)
			}
		}
	})
}

// TestGoneInEveryVersion: a handler that waits learns that its viewer left.
func TestGoneInEveryVersion(t *testing.T) {
	run(t, func(t *testing.T, m mode) {
		begun, ended := make(chan struct{}), make(chan struct{})
		rt, base := m.start(t, &Engine{Handler: handlerFunc(func(ctx context.Context, _ *Request, w Responder) {
			close(begun)
			<-ctx.Done()
			close(ended)
			w.Respond(&Response{Status: 200})
		})})
		ctx, cancel := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, "GET", base+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			<-begun
			cancel()
		}()
		if _, err := rt.RoundTrip(req); !errors.Is(err, context.Canceled) {
			t.Errorf("round trip: %v", err)
		}
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			t.Error("the handler was not told")
		}
	})
}
