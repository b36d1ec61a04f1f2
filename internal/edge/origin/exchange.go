package origin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// exchange is one attempt: a connection, a request and its answer.
type exchange struct {
	plan    *plan
	parent  context.Context // the caller's; its end is the viewer's doing, not the origin's
	ctx     context.Context // parent with the completion timeout
	started time.Time

	pool    *pool
	conn    *conn
	unwatch func() bool
	upload  *upload // nil without a body
	release context.CancelFunc
}

// exchange does one attempt; fresh asks for a new connection.
func (c *Client) exchange(x *exchange, r *Request, fresh bool) (*Response, error) {
	h, err := c.sign(x.ctx, x.plan, r)
	if err != nil {
		return nil, err
	}
	head, err := appendHead(make([]byte, 0, 1024), x.plan, r, h)
	if err != nil {
		return nil, fail(x.plan.name, KindWrite, false, fmt.Errorf("writing the request: %w", err))
	}
	x.pool = c.pool(x.plan)
	if x.conn, err = x.pool.get(x.ctx, x.plan.serverName, fresh); err != nil {
		if cause := x.interrupted(); cause != nil {
			return nil, cause
		}
		return nil, dialFailure(x.plan.name, err)
	}
	x.conn.begin(x.plan.read, hasBody(r))
	x.unwatch = context.AfterFunc(x.ctx, x.conn.interrupt)
	res, err := x.converse(head, r)
	if err != nil {
		x.end(false)
		return nil, err
	}
	return res, nil
}

// converse sends the request and reads the answer's head.
func (x *exchange) converse(head []byte, r *Request) (*Response, error) {
	if hasBody(r) {
		x.upload = &upload{body: r.Body, length: r.ContentLength, done: make(chan struct{})}
		go x.upload.run(x.conn, head)
	} else if _, err := x.conn.Write(head); err != nil {
		if cause := x.interrupted(); cause != nil {
			return nil, cause
		}
		return nil, fail(x.plan.name, KindWrite, isTimeout(err), err)
	}
	answer, first, err := x.conn.readHead()
	if err != nil {
		return nil, x.failure(err)
	}
	return x.response(answer, r.Method, first.Sub(x.started))
}

// end gives the connection back. keep tells that the response was read to its end and
// another request may follow.
func (x *exchange) end(keep bool) {
	if x.upload != nil {
		// The viewer may still be sending what nobody wants any more.
		err, done := x.upload.finished()
		x.upload.ended.Store(true)
		keep = keep && done && err == nil
	}
	keep = x.unwatch() && keep
	x.pool.put(x.conn, keep)
	if x.release != nil {
		x.release()
	}
}

// interrupted tells whether the exchange was ended by its caller or the completion
// timeout.
func (x *exchange) interrupted() error {
	if x.parent.Err() != nil {
		return context.Cause(x.parent)
	}
	if cause := context.Cause(x.ctx); cause != nil {
		return fail(x.plan.name, KindComm, true, cause)
	}
	return nil
}

// failure says what err means, which came while the answer's head was read.
func (x *exchange) failure(err error) error {
	if cause := x.interrupted(); cause != nil {
		return cause
	}
	name, silent := x.plan.name, x.conn.seen == 0
	if x.upload != nil {
		sent, done := x.upload.finished()
		if viewer, ok := errors.AsType[*viewerError](sent); ok {
			return viewer
		}
		if done && sent != nil && silent {
			return fail(name, KindWrite, isTimeout(sent), sent)
		}
	}
	switch {
	case errors.Is(err, errHeaderTooBig):
		return fail(name, KindHeaderTooBig, false, err)
	case errors.Is(err, errNotHTTP), errors.Is(err, errTooManyInformational):
		return fail(name, KindInvalidResponse, false, err)
	case isTimeout(err):
		return fail(name, KindComm, true, errReadTimeout)
	case silent:
		return fail(name, KindComm, false, fmt.Errorf("%w: %w", errNoAnswer, eof(err)))
	}
	return fail(name, KindRead, false, fmt.Errorf("response head broke off: %w", eof(err)))
}

// eof says of an end of data that it was not expected.
func eof(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
