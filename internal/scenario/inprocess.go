package scenario

import (
	"context"
	"io"
	"strings"
	"time"

	"pqfront/internal/edge"
	"pqfront/internal/edge/viewerhttp"
	"pqfront/internal/tlspolicy"
)

// InProcess calls the corridor directly.
var InProcess = Mode{Name: "handler", Open: func(e *edge.Edge) Transport { return inProcess{e} }}

type inProcess struct{ edge *edge.Edge }

func (p inProcess) Close() {}

// Do implements Transport.
func (p inProcess) Do(ctx context.Context, r *Request) (*Answer, error) {
	req := &viewerhttp.Request{
		Conn:  &viewerhttp.Conn{ID: 1, Viewer: viewerAddress, TLS: handshake(r)},
		Proto: viewerhttp.HTTP2, Method: r.Method, Scheme: r.URL.Scheme,
		Authority: strings.ToLower(r.URL.Host), Path: r.URL.EscapedPath(),
		Query: r.URL.RawQuery, HasQuery: r.URL.RawQuery != "" || r.URL.ForceQuery,
		Header: r.Header.Clone(), Received: time.Now(), HeadBytes: 200,
	}
	if r.URL.Scheme == "http" {
		req.Proto = viewerhttp.HTTP11
	}
	if r.Old {
		req.Proto = viewerhttp.HTTP10
	}
	if r.HasBody {
		req.Body, req.ContentLength = strings.NewReader(r.Body), int64(len(r.Body))
		if r.Streaming {
			req.ContentLength = -1
		}
	}
	w := &recorder{ctx: ctx, head: r.Method == "HEAD"}
	p.edge.ServeViewer(ctx, req, w)
	return &w.answer, nil
}

func handshake(r *Request) *tlspolicy.Handshake {
	if r.URL.Scheme != "https" {
		return nil
	}
	h := &tlspolicy.Handshake{ServerName: r.SNI, Stage: "done"}
	h.Version, h.Suite, h.Group, h.Scheme, h.ALPN = tlspolicy.TLSv1_3, 0x1301, 0x11ec, 0x0804, "h2"
	if r.OldTLS {
		h.Version, h.Suite, h.Group = tlspolicy.TLSv1_2, 0xc02f, 0x001d
	}
	return h
}

// recorder is a Responder that keeps what it is given, as a client would see it.
type recorder struct {
	ctx    context.Context
	head   bool
	answer Answer
}

// Respond implements viewerhttp.Responder.
func (w *recorder) Respond(r *viewerhttp.Response) (viewerhttp.Sent, error) {
	if r.Stream != nil {
		defer r.Stream.Close()
	}
	if w.ctx.Err() != nil {
		return viewerhttp.Sent{ViewerGone: true}, nil
	}
	w.answer.Status, w.answer.Header, w.answer.Closed = r.Status, r.Header.Clone(), r.Close
	sent := viewerhttp.Sent{HeadBytes: 300, FirstByte: time.Now()}
	if w.head || r.Status == 304 || r.Status == 204 {
		return sent, nil
	}
	body := io.Reader(strings.NewReader(string(r.Bytes)))
	if r.Stream != nil {
		body = r.Stream
	}
	w.answer.Body, w.answer.Err = io.ReadAll(body)
	sent.BodyBytes = int64(len(w.answer.Body))
	if w.ctx.Err() != nil {
		sent.ViewerGone = true
		return sent, nil
	}
	if w.answer.Err == nil && r.Length >= 0 && sent.BodyBytes != r.Length {
		w.answer.Err = io.ErrUnexpectedEOF
	}
	return sent, w.answer.Err
}
