package origin

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"pqfront/internal/httpfield"
	"pqfront/internal/tlspolicy"
)

// response checks what net/http read and turns it into a Response.
func (x *exchange) response(res *http.Response, req *http.Request) (*Response, error) {
	head := x.answer()
	if err := checkHead(res); err != nil {
		res.Body.Close()
		return nil, fail(x.plan.name, KindInvalidResponse, false, err)
	}
	if want, ok := rangeLength(res); ok && res.ContentLength >= 0 && want != res.ContentLength {
		res.Body.Close()
		return nil, fail(x.plan.name, KindContentRange, false, fmt.Errorf("%w: %q with %d bytes", errContentRange, res.Header.Get("Content-Range"), res.ContentLength))
	}
	b := &body{x: x, rc: res.Body}
	b.r = b.rc
	if unframed(res, req.Method) {
		if err := b.peek(); err != nil {
			res.Body.Close()
			return nil, err
		}
	}
	return &Response{
		Status: res.StatusCode,
		Header: endToEnd(ordered(res.Header, fieldOrder(head)), x.plan.s3),
		Body:   b,
		Length: res.ContentLength,
		Facts:  x.facts(),
	}, nil
}

func (x *exchange) facts() Facts {
	x.mu.Lock()
	defer x.mu.Unlock()
	f := Facts{Reused: x.reused, FirstByte: x.first}
	if x.conn == nil {
		return f
	}
	f.Address = x.conn.RemoteAddr().String()
	if s := x.conn.tls; s != nil {
		f.TLSVersion = tlspolicy.Version(s.Version).String()
		if s.CurveID != 0 { // RSA key transport has no group
			f.Group = tlspolicy.Group(s.CurveID).String()
		}
	}
	return f
}

// checkHead refuses what net/http accepts and a viewer must not be handed.
func checkHead(res *http.Response) error {
	switch {
	case res.ProtoMajor != 1:
		return fmt.Errorf("%w: %q", errVersion, res.Proto)
	case res.StatusCode == http.StatusSwitchingProtocols:
		return errSwitching
	case res.StatusCode < 200 || res.StatusCode > 599:
		return fmt.Errorf("%w: %d", errStatus, res.StatusCode)
	}
	for name, values := range res.Header {
		if !token(name) {
			return fmt.Errorf("%w: name %.40q", errFieldBytes, name)
		}
		for _, v := range values {
			// RFC 9110, Section 5.5: CR, LF and NUL are dangerous.
			if strings.ContainsAny(v, "\r\n\x00") {
				return fmt.Errorf("%w: value of %s", errFieldBytes, name)
			}
		}
	}
	return nil
}

// token reports whether s is a token (RFC 9110, Section 5.6.2).
func token(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
			strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return s != ""
}

// rangeLength returns how many bytes a response with one range must have (RFC 9110,
// Section 14.4). A Content-Range that cannot be read is left to the cache.
func rangeLength(res *http.Response) (n int64, ok bool) {
	if res.StatusCode != http.StatusPartialContent {
		return 0, false
	}
	span, unit := strings.CutPrefix(res.Header.Get("Content-Range"), "bytes ")
	span, _, slash := strings.Cut(span, "/")
	first, last, dash := strings.Cut(span, "-")
	a, errA := strconv.ParseInt(first, 10, 64)
	z, errZ := strconv.ParseInt(last, 10, 64)
	return z - a + 1, unit && slash && dash && errA == nil && errZ == nil && 0 <= a && a <= z
}

// unframed tells a 200 that neither announces a length nor is chunked: only the end of
// the connection ends it, and an object without bytes cannot be told from a failure.
func unframed(res *http.Response, method string) bool {
	return res.ContentLength < 0 && len(res.TransferEncoding) == 0 &&
		res.StatusCode == http.StatusOK && method == http.MethodGet
}

// fieldOrder returns the lower-case names of the field lines of the final response in
// head, in the origin's order, which net/http's map forgets and viewers see. Nothing
// but the order is taken from here: the values are net/http's.
func fieldOrder(head []byte) []string {
	for {
		line, rest, ok := bytes.Cut(head, []byte("\n"))
		if !ok {
			return nil
		}
		var names []string
		for {
			line, rest, ok = bytes.Cut(rest, []byte("\n"))
			line = bytes.TrimRight(line, "\r")
			if !ok || len(line) == 0 {
				break
			}
			if name, _, found := bytes.Cut(line, []byte(":")); found && line[0] != ' ' && line[0] != '\t' {
				names = append(names, strings.ToLower(string(name)))
			}
		}
		if !informationalLine(head) {
			return names
		}
		head = rest
	}
}

// informationalLine tells a status line of 1xx.
func informationalLine(head []byte) bool {
	_, status, ok := bytes.Cut(head, []byte(" "))
	status = bytes.TrimLeft(status, " ")
	return ok && len(status) >= 3 && status[0] == '1'
}

// ordered makes Fields of h in the order of names; what names does not have follows
// sorted.
func ordered(h http.Header, names []string) httpfield.Fields {
	out := make(httpfield.Fields, 0, len(h)+8)
	taken := map[string]int{}
	for _, name := range names {
		key := textproto.CanonicalMIMEHeaderKey(name)
		if n := taken[key]; n < len(h[key]) {
			out.Add(name, h[key][n])
			taken[key] = n + 1
		}
	}
	for _, key := range slices.Sorted(maps.Keys(h)) {
		for _, v := range h[key][min(taken[key], len(h[key])):] {
			out.Add(strings.ToLower(key), v)
		}
	}
	return out
}

// endToEnd removes what is meant for this connection only (RFC 9110, Section 7.6.1),
// and from S3's answers its two request ids (CloudFront: Request and response behavior
// for Amazon S3 origins).
func endToEnd(f httpfield.Fields, s3 bool) httpfield.Fields {
	var named []string
	for i := range f {
		if f[i].Name == "connection" {
			for n := range strings.SplitSeq(f[i].Value, ",") {
				named = append(named, strings.ToLower(strings.Trim(n, " \t")))
			}
		}
	}
	out := f[:0]
	for _, x := range f {
		switch x.Name {
		case "connection", "keep-alive", "proxy-connection", "proxy-authenticate",
			"te", "trailer", "transfer-encoding", "upgrade":
			continue
		case "x-amz-id-2", "x-amz-request-id":
			if s3 {
				continue
			}
		case "content-length": // Connection must not take the framing away
			out = append(out, x)
			continue
		}
		if !slices.Contains(named, x.Name) {
			out = append(out, x)
		}
	}
	return out
}

// body is a response's body under the read timeout.
type body struct {
	x    *exchange
	rc   io.ReadCloser
	r    io.Reader
	err  error
	done atomic.Bool
}

// peek waits for the first byte and makes its absence an error.
func (b *body) peek() error {
	br := bufio.NewReaderSize(b.rc, 4<<10)
	b.r = br
	b.x.dog.arm(b.x.plan.read, errReadTimeout)
	_, err := br.Peek(1)
	b.x.dog.disarm()
	if errors.Is(err, io.EOF) {
		return fail(b.x.plan.name, KindZeroSize, false, errZeroSize)
	}
	if err != nil {
		return b.failure(err)
	}
	return nil
}

// Read implements io.Reader. The origin's time counts only while a caller waits: a slow
// viewer is not the origin's fault.
func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	b.x.dog.arm(b.x.plan.read, errReadTimeout)
	n, err := b.r.Read(p)
	b.x.dog.disarm()
	if err != nil {
		if !errors.Is(err, io.EOF) {
			err = b.failure(err)
		}
		b.err = err
		b.finish()
	}
	return n, err
}

// failure says what a failed read of a body means.
func (b *body) failure(err error) error {
	if err := b.x.interrupted(); err != nil {
		return err
	}
	if b.done.Load() {
		return context.Canceled
	}
	return fail(b.x.plan.name, KindRead, isTimeout(err), err)
}

// Close implements io.Closer; it may come while a Read waits, and then ends it.
func (b *body) Close() error {
	b.finish()
	return nil
}

func (b *body) finish() {
	if b.done.Swap(true) {
		return
	}
	b.x.end()
	b.rc.Close() // after the cancellation: a waiting Read would hold it up
}
