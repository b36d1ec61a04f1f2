package viewerhttp

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"pqfront/internal/httpfield"
)

// Engine serves viewer connections of every HTTP version for one Handler. Set the
// fields before the first connection and leave them alone after; its methods may
// be called from many goroutines.
type Engine struct {
	Handler  Handler
	Limits   Limits
	Observer Observer     // nil: nobody is told
	Logger   *slog.Logger // nil: nothing is logged
	// ErrorPage gives the header fields and the body of an answer that the engine
	// makes itself (400, 408, 413, 414, 417, 494, 500, 505). The engine adds
	// content-length where it is missing. nil: a short page of our own.
	ErrorPage func(status int, reason Reason) (httpfield.Fields, []byte)
	Now       func() time.Time // nil: time.Now

	h1 h1Pools
	h2 h2Pools
	h3 h3Pools
}

// BodyError is what Request.Body's Read returns when the viewer's body is broken.
// Status is what the Handler should answer, when it still can.
type BodyError struct {
	Status int
	Reason Reason
	Err    error // the cause, when there is one below
}

// Error names the reason and the cause.
func (e *BodyError) Error() string {
	if e.Err == nil {
		return "reading the viewer's body: " + string(e.Reason)
	}
	return fmt.Sprintf("reading the viewer's body: %s: %v", e.Reason, e.Err)
}

// Unwrap returns the cause.
func (e *BodyError) Unwrap() error { return e.Err }

func (e *Engine) limits() Limits { return e.Limits.withDefaults() }

func (e *Engine) now() time.Time {
	if e.Now == nil {
		return time.Now()
	}
	return e.Now()
}

func (e *Engine) log() *slog.Logger {
	if e.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return e.Logger
}

// reportBytes bounds the viewer's text in a Rejection.
const reportBytes = 1024

// reject tells the Observer of r. It stamps the time and cuts what the viewer sent.
func (e *Engine) reject(r Rejection) {
	if e.Observer == nil {
		return
	}
	r.At = e.now()
	r.Method, r.Authority, r.Path = clip(r.Method), clip(r.Authority), clip(r.Path)
	e.Observer(r)
}

// clip copies, so that a Rejection that is kept does not keep a whole head alive.
func clip(s string) string {
	return string([]byte(s[:min(len(s), reportBytes)]))
}

// errorPage returns the answer of a refusal, content-length included.
func (e *Engine) errorPage(status int, reason Reason) *Response {
	page := e.ErrorPage
	if page == nil {
		page = plainErrorPage
	}
	fields, body := page(status, reason)
	if !fields.Has("content-length") {
		fields = fields.Clone() // the hook may hand out a shared list
		fields.Add("content-length", strconv.Itoa(len(body)))
	}
	return &Response{Status: status, Header: fields, Bytes: body, Length: int64(len(body)), Close: true}
}

func plainErrorPage(status int, _ Reason) (httpfield.Fields, []byte) {
	text := strconv.Itoa(status) + " " + statusText(status)
	body := "<!DOCTYPE html>\n<title>" + text + "</title>\n<h1>" + text + "</h1>\n"
	return httpfield.Fields{
		{Name: "content-type", Value: "text/html"},
		{Name: "content-length", Value: strconv.Itoa(len(body))},
	}, []byte(body)
}

// statusText is the reason phrase; 494 is CloudFront's own code (CloudFront: Quotas).
func statusText(status int) string {
	if status == 494 {
		return "Request Header Too Large"
	}
	return http.StatusText(status)
}

// callHandler runs the Handler. A panic there is our bug, but it must not take the
// other viewers' connections down: it is logged, and ok is false.
func (e *Engine) callHandler(ctx context.Context, r *Request, w Responder) (ok bool) {
	defer func() {
		if p := recover(); p != nil {
			e.log().Error("handler panicked", "panic", fmt.Sprint(p), "method", r.Method,
				"authority", r.Authority, "path", clip(r.Path), "stack", string(debug.Stack()))
			ok = false
		}
	}()
	e.Handler.ServeViewer(ctx, r, w)
	return true
}
