package scenario

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"pqfront/internal/httpfield"
)

// commands is the language.
var commands = map[string]func(w *world, args []string) error{
	"distribution": (*world).distribution,
	"policy":       (*world).policy,
	"origin":       (*world).origin,
	"viewer":       (*world).viewer,
	"viewers":      (*world).viewers,
	"expect":       (*world).expect,
	"log":          (*world).log,
	"saw":          (*world).saw,
	"advance":      (*world).advance,
	"only":         (*world).only,
}

// Request is what a viewer sends.
type Request struct {
	Method    string
	URL       *url.URL
	SNI       string // the server name of the handshake; the URL's host unless given
	Old       bool   // HTTP/1.0
	OldTLS    bool   // the handshake was one of TLS 1.2
	Header    httpfield.Fields
	Body      string
	HasBody   bool
	Streaming bool // the body's length is not announced
}

// Answer is what the viewer got.
type Answer struct {
	Status int
	Header httpfield.Fields
	Body   []byte
	Closed bool // the server asked to end the connection; nothing over HTTP/2 and HTTP/3
	// Unordered tells that the client forgot the order of the fields.
	Unordered bool
	Err       error // the answer broke off
}

// viewer METHOD URL ['name: value'...] [body=TEXT] [stream] [http/1.0] [sni=NAME] [tls=1.2] [leaves=DURATION]
func (w *world) viewer(args []string) error {
	r, leaves, err := parseViewer(args)
	if err != nil {
		return err
	}
	w.last, err = w.ask(r, leaves)
	synctest.Wait() // what goes on behind the answer has come to rest
	return err
}

func (w *world) ask(r *Request, leaves time.Duration) (*Answer, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if leaves > 0 {
		timer := time.AfterFunc(leaves, cancel)
		defer timer.Stop()
	}
	return w.transport.Do(ctx, r)
}

// viewers N METHOD URL ...: so many at once; all must get the same.
func (w *world) viewers(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	r, leaves, err := parseViewer(args[1:])
	if err != nil {
		return err
	}
	answers := make([]*Answer, n)
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { answers[i], errs[i] = w.ask(r, leaves) })
	}
	wg.Wait()
	synctest.Wait()
	for i, a := range answers {
		if errs[i] != nil {
			return errs[i]
		}
		if a.Status != answers[0].Status || string(a.Body) != string(answers[0].Body) {
			return fmt.Errorf("viewer %d got %d and %d bytes, the first %d and %d bytes", i, a.Status, len(a.Body), answers[0].Status, len(answers[0].Body))
		}
	}
	w.last = answers[0]
	return nil
}

func parseViewer(args []string) (*Request, time.Duration, error) {
	if len(args) < 2 {
		return nil, 0, errors.New("viewer METHOD URL")
	}
	u, err := url.Parse(expand(args[1]))
	if err != nil {
		return nil, 0, err
	}
	r := &Request{Method: args[0], URL: u, SNI: u.Hostname()}
	var leaves time.Duration
	for _, a := range args[2:] {
		key, value, _ := strings.Cut(a, "=")
		switch {
		case strings.Contains(a, ": ") || strings.HasSuffix(a, ":"):
			name, v, _ := strings.Cut(a, ":")
			r.Header.Add(strings.ToLower(name), strings.TrimSpace(v))
		case a == "http/1.0":
			r.Old = true
		case a == "stream":
			r.Streaming = true
		case key == "body":
			r.Body, r.HasBody = value, true
		case key == "sni":
			r.SNI = value
		case a == "tls=1.2":
			r.OldTLS = true
		case key == "leaves":
			if leaves, err = time.ParseDuration(value); err != nil {
				return nil, 0, err
			}
		default:
			return nil, 0, fmt.Errorf("what is %q?", a)
		}
	}
	return r, leaves, nil
}

// expand replaces {N} by N letters.
func expand(s string) string {
	return repeat.ReplaceAllStringFunc(s, func(m string) string {
		n, err := strconv.Atoi(m[1 : len(m)-1])
		if err != nil {
			return m
		}
		return strings.Repeat("x", n)
	})
}

var repeat = regexp.MustCompile(`\{[0-9]+\}`)

// expect status N | header NAME VALUE | absent NAME... | body TEXT | size N | order NAME... | close | keep | broken
func (w *world) expect(args []string) error {
	a := w.last
	if a == nil {
		return errors.New("no viewer has asked yet")
	}
	switch what, rest := args[0], args[1:]; what {
	case "status":
		if strconv.Itoa(a.Status) != rest[0] {
			return fmt.Errorf("got %d\n%s\n%.600s", a.Status, show(a.Header), a.Body)
		}
	case "header":
		if got := a.Header.Joined(rest[0]); !a.Header.Has(rest[0]) || !matches(rest[1], got) {
			return fmt.Errorf("got %q in\n%s", got, show(a.Header))
		}
	case "absent":
		for _, name := range rest {
			if a.Header.Has(name) {
				return fmt.Errorf("%s is there:\n%s", name, show(a.Header))
			}
		}
	case "body":
		if !matches(rest[0], string(a.Body)) {
			return fmt.Errorf("got %.300q", a.Body)
		}
	case "size":
		if n, err := size(rest[0]); err != nil || n != len(a.Body) {
			return fmt.Errorf("got %d bytes (%v)", len(a.Body), err)
		}
	case "order":
		if a.Unordered {
			return nil
		}
		return inOrder(a.Header, rest)
	case "close", "keep":
		if !a.Unordered && a.Closed != (what == "close") {
			return fmt.Errorf("connection closed: %v", a.Closed)
		}
	case "broken":
		if a.Err == nil {
			return errors.New("the answer is whole")
		}
		return nil
	default:
		return fmt.Errorf("cannot expect %q", what)
	}
	if a.Err != nil {
		return fmt.Errorf("the answer broke off: %w", a.Err)
	}
	return nil
}

// matches compares with a text, a *glob* or a /regular expression/.
func matches(want, got string) bool {
	if len(want) > 1 && strings.HasPrefix(want, "/") && strings.HasSuffix(want, "/") && strings.ContainsAny(want, `^$\[`) {
		return regexp.MustCompile(want[1 : len(want)-1]).MatchString(got)
	}
	if strings.Contains(want, "*") {
		parts := strings.Split(want, "*")
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		return regexp.MustCompile("(?s)^" + strings.Join(parts, ".*") + "$").MatchString(got)
	}
	return want == got
}

func inOrder(h httpfield.Fields, names []string) error {
	at := 0
	for _, n := range names {
		i := slices.IndexFunc(h[at:], func(f httpfield.Field) bool { return f.Name == n })
		if i < 0 {
			return fmt.Errorf("%s is not where it must be:\n%s", n, show(h))
		}
		at += i + 1
	}
	return nil
}

func show(h httpfield.Fields) string {
	var b strings.Builder
	for _, f := range h {
		fmt.Fprintf(&b, "\t%s: %s\n", f.Name, f.Value)
	}
	return b.String()
}

// size reads a number of bytes: 512, 10KiB, 3MiB.
func size(s string) (int, error) {
	unit := 1
	if t, ok := strings.CutSuffix(s, "KiB"); ok {
		s, unit = t, 1<<10
	} else if t, ok := strings.CutSuffix(s, "MiB"); ok {
		s, unit = t, 1<<20
	}
	n, err := strconv.Atoi(s)
	return n * unit, err
}

// log FIELD VALUE...: fields of the last request's record, by their names in the log.
func (w *world) log(args []string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.logs) == 0 {
		return errors.New("nothing is logged")
	}
	r := w.logs[len(w.logs)-1]
	if len(args)%2 != 0 {
		return errors.New("log FIELD VALUE...")
	}
	for i := 0; i < len(args); i += 2 {
		got, err := logField(r, args[i])
		if err != nil {
			return err
		}
		if !matches(args[i+1], got) {
			return fmt.Errorf("%s is %q (reason %q)", args[i], got, r.Reason)
		}
	}
	return nil
}

// saw N: so many requests came to all origins since the last saw N; any: however many.
// saw ORIGIN METHOD TARGET: its last request was this one.
// saw header NAME VALUE | absent NAME...: about the last request that came.
func (w *world) saw(args []string) error {
	w.origins.mu.Lock()
	defer w.origins.mu.Unlock()
	o := w.origins
	n, err := strconv.Atoi(args[0])
	if err == nil || args[0] == "any" {
		got := len(o.seen) - o.counted
		o.counted = len(o.seen)
		if err == nil && got != n {
			return fmt.Errorf("%d requests came", got)
		}
		return nil
	}
	if len(o.seen) == 0 {
		return errors.New("no request has come")
	}
	last := o.seen[len(o.seen)-1]
	switch {
	case args[0] == "header":
		if got := last.header.Joined(args[1]); !last.header.Has(args[1]) || !matches(args[2], got) {
			return fmt.Errorf("got %q in\n%s", got, show(last.header))
		}
	case args[0] == "absent":
		for _, name := range args[1:] {
			if last.header.Has(name) {
				return fmt.Errorf("%s is there:\n%s", name, show(last.header))
			}
		}
	case args[0] == "body":
		if last.body != args[1] {
			return fmt.Errorf("got %q", last.body)
		}
	case len(args) == 3:
		if got := last.origin + " " + last.method + " " + last.target; got != strings.Join(args, " ") {
			return fmt.Errorf("got %s", got)
		}
	default:
		return errors.New("saw N | any | ORIGIN METHOD TARGET | header NAME VALUE | absent NAME... | body TEXT")
	}
	return nil
}

// advance DURATION lets time pass.
func (w *world) advance(args []string) error {
	d, err := time.ParseDuration(args[0])
	if err != nil {
		return err
	}
	time.Sleep(d)
	synctest.Wait()
	return nil
}

// only MODE...: the rest of the scenario makes sense in these modes only.
func (w *world) only(args []string) error {
	if !slices.ContainsFunc(args, func(m string) bool { ok, _ := path.Match(m, w.mode); return ok }) {
		w.t.Skipf("%s:%d: only for %s", w.file, w.line, strings.Join(args, ", "))
	}
	return nil
}
