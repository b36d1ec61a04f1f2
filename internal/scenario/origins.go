package scenario

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"pqfront/internal/httpfield"
	"pqfront/internal/testnet"
)

// origins are the scripted servers behind the edge, in memory. They speak HTTP/1.1 by
// hand so that they can also speak it badly.
type origins struct {
	mu      sync.Mutex
	rules   map[string][]*rule // by origin; the newest first
	seen    []seen
	counted int
	conns   map[net.Conn]struct{}
	closed  bool
	work    sync.WaitGroup
}

// rule is what an origin answers.
type rule struct {
	method, path string // "*" matches all
	status       int
	header       []string
	body         string
	chunked      bool
	truncate     int // -1 = whole
	delay        time.Duration
	drip         time.Duration // wait in the middle of the body
	hang, drop   bool
	conditional  bool // answers a fitting If-None-Match or If-Modified-Since with 304
	times        int  // how often; 0 = always
	refuse       bool
}

// seen is a request that came.
type seen struct {
	origin, method, target string
	header                 httpfield.Fields
	body                   string
}

func newOrigins() *origins {
	return &origins{rules: map[string][]*rule{}, conns: map[net.Conn]struct{}{}}
}

// origin NAME METHOD PATH STATUS ['name: value'...] [options]
// origin NAME refuse: connections are refused from now on.
func (w *world) origin(args []string) error {
	if len(args) == 2 && args[1] == "refuse" {
		w.origins.add(args[0], &rule{refuse: true})
		return nil
	}
	if len(args) < 4 {
		return errors.New("origin NAME METHOD PATH STATUS")
	}
	r := &rule{method: args[1], path: args[2], truncate: -1}
	var err error
	if r.status, err = strconv.Atoi(args[3]); err != nil {
		return err
	}
	for _, a := range args[4:] {
		if err := r.option(a); err != nil {
			return err
		}
	}
	w.origins.add(args[0], r)
	return nil
}

func (r *rule) option(a string) (err error) {
	key, value, _ := strings.Cut(a, "=")
	switch {
	case strings.Contains(a, ": "):
		r.header = append(r.header, a)
	case a == "chunked":
		r.chunked = true
	case a == "hang":
		r.hang = true
	case a == "drop":
		r.drop = true
	case a == "conditional":
		r.conditional = true
	case key == "body":
		r.body = value
	case key == "size":
		var n int
		n, err = size(value)
		r.body = filler(n)
	case key == "truncate":
		r.truncate, err = size(value)
	case key == "delay":
		r.delay, err = time.ParseDuration(value)
	case key == "drip":
		r.drip, err = time.ParseDuration(value)
	case key == "times":
		r.times, err = strconv.Atoi(value)
	default:
		err = fmt.Errorf("what is %q?", a)
	}
	return err
}

// filler is a body of n bytes that tells its own positions.
func filler(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%07d\n", i*8)
	}
	return b.String()[:n]
}

func (o *origins) add(name string, r *rule) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.rules[name] = append([]*rule{r}, o.rules[name]...)
}

// pick returns the newest rule that fits and is not used up.
func (o *origins) pick(name, method, target string) *rule {
	p, _, _ := strings.Cut(target, "?")
	for _, r := range o.rules[name] {
		if r.refuse || r.times < 0 || r.method != "*" && r.method != method || r.path != "*" && r.path != p {
			continue
		}
		if r.times > 0 {
			if r.times--; r.times == 0 {
				r.times = -1
			}
		}
		return r
	}
	return nil
}

// dial is origin.Options.Dial. The address's host is the origin's name.
func (o *origins) dial(ctx context.Context, network, address string) (net.Conn, error) {
	name, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	rules, known := o.rules[name]
	if !known {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	if o.closed || rules[0].refuse {
		return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("connection refused")}
	}
	edgeSide, originSide := testnet.Pipe()
	o.conns[originSide] = struct{}{}
	o.work.Go(func() {
		defer originSide.Close()
		o.serve(name, originSide)
	})
	return named{edgeSide, address}, nil
}

// named is a connection whose other end has the address that was dialed.
type named struct {
	net.Conn
	address string
}

func (n named) RemoteAddr() net.Addr { return n }
func (n named) Network() string      { return "tcp" }
func (n named) String() string       { return n.address }

func (o *origins) close() {
	o.mu.Lock()
	o.closed = true
	for c := range o.conns {
		c.Close()
	}
	o.mu.Unlock()
	o.work.Wait()
}

func (o *origins) serve(name string, c net.Conn) {
	br := bufio.NewReader(c)
	for {
		r, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		s := seen{origin: name, method: r.Method, target: r.RequestURI, body: string(body)}
		s.header.Add("host", r.Host)
		for k, vs := range r.Header {
			for _, v := range vs {
				s.header.Add(strings.ToLower(k), v)
			}
		}
		o.mu.Lock()
		o.seen = append(o.seen, s)
		rule := o.pick(name, r.Method, r.RequestURI)
		o.mu.Unlock()
		if rule == nil {
			rule = missing
		}
		if !rule.answer(c, r) {
			return
		}
	}
}

var missing = &rule{status: 404, header: []string{"content-type: text/plain"}, body: "no rule of the scenario fits", truncate: -1}

// answer writes the response; false ends the connection.
func (r *rule) answer(c net.Conn, req *http.Request) bool {
	time.Sleep(r.delay)
	if r.drop {
		return false
	}
	if r.hang {
		io.Copy(io.Discard, c) // until the edge gives up
		return false
	}
	status, body := r.status, r.body
	if r.conditional && r.fits(req) {
		status, body = 304, ""
	}
	var head strings.Builder
	fmt.Fprintf(&head, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	for _, h := range r.header {
		if status != 304 || !strings.HasPrefix(h, "content-") {
			head.WriteString(h + "\r\n")
		}
	}
	if !strings.Contains(head.String(), "date: ") {
		head.WriteString("date: " + time.Now().UTC().Format(http.TimeFormat) + "\r\n")
	}
	switch {
	case status == 304 || status == 204:
	case r.chunked:
		head.WriteString("transfer-encoding: chunked\r\n")
	default:
		fmt.Fprintf(&head, "content-length: %d\r\n", len(body))
	}
	if _, err := io.WriteString(c, head.String()+"\r\n"); err != nil {
		return false
	}
	if req.Method == "HEAD" || status == 304 {
		return true
	}
	return r.writeBody(c, body)
}

func (r *rule) writeBody(c net.Conn, body string) bool {
	short := r.truncate >= 0 && r.truncate < len(body)
	if short {
		body = body[:r.truncate]
	}
	half := len(body)
	if r.drip > 0 {
		half /= 2
	}
	for i, part := range []string{body[:half], body[half:]} {
		if i == 1 {
			time.Sleep(r.drip)
		}
		if part == "" {
			continue
		}
		if r.chunked {
			part = fmt.Sprintf("%x\r\n%s\r\n", len(part), part)
		}
		if _, err := io.WriteString(c, part); err != nil {
			return false
		}
	}
	if short {
		return false
	}
	if r.chunked {
		if _, err := io.WriteString(c, "0\r\n\r\n"); err != nil {
			return false
		}
	}
	return true
}

// fits tells whether the request's condition names what the rule answers with.
func (r *rule) fits(req *http.Request) bool {
	for _, h := range r.header {
		name, v, _ := strings.Cut(h, ": ")
		if name == "etag" && req.Header.Get("If-None-Match") == v {
			return true
		}
		if name == "last-modified" && req.Header.Get("If-None-Match") == "" && req.Header.Get("If-Modified-Since") == v {
			return true
		}
	}
	return false
}
