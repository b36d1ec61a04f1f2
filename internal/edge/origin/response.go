package origin

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"

	"pqfront/internal/httpfield"
	"pqfront/internal/tlspolicy"
)

// readHead reads the head of the final response, and when its first byte came. 1xx
// responses are skipped: one 100 and a few others (CloudFront: Request and response
// behavior for custom origins, 100-continue: a second one is an error).
func (c *conn) readHead() (head []byte, first time.Time, err error) {
	const most = 8
	continued := false
	for n := 0; ; n++ {
		if head, err = c.readBlock(head[:0]); err != nil {
			return nil, first, err
		}
		if n == 0 {
			first = time.Now()
		}
		if !informational(head) {
			return head, first, nil
		}
		is100 := bytes.HasPrefix(head[9:], []byte("100"))
		if n == most || is100 && continued {
			return nil, first, errTooManyInformational
		}
		continued = continued || is100
	}
}

// readBlock appends the lines up to an empty one, that line included.
func (c *conn) readBlock(b []byte) ([]byte, error) {
	for start := true; ; {
		line, err := c.br.ReadSlice('\n')
		b = append(b, line...)
		switch {
		case len(b) > maxResponseHead:
			return nil, errHeaderTooBig
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		case len(b) == len(line) && !statusLine(line):
			return nil, fmt.Errorf("%w: %.40q", errNotHTTP, line)
		case err != nil: // a long line goes on
			start = false
			continue
		case start && (len(line) == 1 || len(line) == 2 && line[0] == '\r'):
			return b, nil
		}
		start = true
	}
}

// statusLine checks the form of a status line as far as its code (RFC 9112, Section 4).
func statusLine(line []byte) bool {
	if len(line) < 13 || !bytes.HasPrefix(line, []byte("HTTP/1.")) || line[8] != ' ' {
		return false
	}
	for _, c := range line[9:12] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return line[12] == ' ' || line[12] == '\r' || line[12] == '\n'
}

// informational tells a head of 1xx but 101, which is final (RFC 9110, Section 15.2.2).
func informational(head []byte) bool {
	return head[9] == '1' && !bytes.HasPrefix(head[9:], []byte("101"))
}

// response makes a Response of a head. net/http parses it and decides the framing.
func (x *exchange) response(head []byte, method string, firstByte time.Duration) (*Response, error) {
	parser := bufio.NewReaderSize(bytes.NewReader(head), 512)
	res, err := http.ReadResponse(parser, &http.Request{Method: method})
	if err == nil {
		err = checkHead(res)
	}
	if err != nil {
		return nil, fail(x.plan.name, KindInvalidResponse, false, err)
	}
	if want, ok := rangeLength(res); ok && res.ContentLength >= 0 && want != res.ContentLength {
		return nil, fail(x.plan.name, KindContentRange, false, fmt.Errorf("%w: %q with %d bytes", errContentRange, res.Header.Get("Content-Range"), res.ContentLength))
	}
	b := newBody(x, res, method)
	if unframed(res, method) {
		if err := b.peek(); err != nil {
			return nil, err
		}
	}
	out := &Response{
		Status: res.StatusCode,
		Header: endToEnd(ordered(res.Header, fieldOrder(head)), x.plan.s3),
		Body:   b,
		Length: res.ContentLength,
		Facts:  x.facts(firstByte),
	}
	if b.empty {
		b.finish(b.keep)
	}
	return out, nil
}

func (x *exchange) facts(firstByte time.Duration) Facts {
	f := Facts{Address: x.conn.nc.RemoteAddr().String(), Reused: x.conn.reused, FirstByte: firstByte}
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

// fieldOrder returns the lower-case names of a head's field lines in the origin's order,
// which net/http's map forgets and viewers see. Nothing but the order is taken from
// here: the values are net/http's.
func fieldOrder(head []byte) []string {
	_, rest, _ := bytes.Cut(head, []byte("\n"))
	var names []string
	for line := range bytes.Lines(rest) {
		if name, _, found := bytes.Cut(line, []byte(":")); found && line[0] != ' ' && line[0] != '\t' {
			names = append(names, strings.ToLower(string(name)))
		}
	}
	return names
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
