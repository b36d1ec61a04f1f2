package viewerhttp

import (
	"strings"

	"pqfront/internal/edge/viewerhttp/hpack"
	"pqfront/internal/httpfield"
)

// What a field is to us; the low byte of its mark.
const (
	h2Plain = iota
	h2Method
	h2Scheme
	h2Authority
	h2Path
	h2OtherPseudo
	h2Host
	h2Length
	h2Expect
	h2Cookie
	h2Prioritized
	h2TE
	h2HopByHop
)

// And what is wrong with it.
const (
	h2BadName  = 1 << 8
	h2BadValue = 1 << 9
)

// h2Inspector looks at each field when it comes in literally. What stands in the
// compression table is not looked at again.
var h2Inspector = hpack.NewInspector(inspectH2Field)

func inspectH2Field(name, value string) (mark uint16) {
	switch name {
	case ":method":
		mark = h2Method
	case ":scheme":
		mark = h2Scheme
	case ":authority":
		mark = h2Authority
	case ":path":
		mark = h2Path
	case "host":
		mark = h2Host
	case "content-length":
		mark = h2Length
	case "expect":
		mark = h2Expect
	case "cookie":
		mark = h2Cookie
	case "priority":
		mark = h2Prioritized
	case "te":
		mark = h2TE
		if !strings.EqualFold(value, "trailers") {
			mark = h2HopByHop // RFC 9113, Section 8.2.2
		}
	case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade":
		mark = h2HopByHop
	default:
		if name != "" && name[0] == ':' {
			mark = h2OtherPseudo
		} else if !validLowerFieldName(name) {
			mark = h2BadName // RFC 9113, Section 8.2.1
		}
	}
	if !validFieldValue(value) || !trimmed(value) {
		mark |= h2BadValue
	}
	return mark
}

// h2Head makes a request, or nothing, of one field block. Broken rules do not stop
// it: the block must be decompressed to its end.
type h2Head struct {
	emit func(hpack.Field) // add, bound once

	h2HeadState
}

type h2HeadState struct {
	id       uint32
	st       *h2Stream // nil: nobody wants the fields
	trailers bool
	lim      *Limits

	malformed Reason // the stream is reset with PROTOCOL_ERROR (RFC 9113, Section 8.1.1)
	refused   Reason // the request is answered with the reason's status

	seen                 uint16 // bits 1 << kind
	plain                bool   // a field that is no pseudo-header field came
	size, count          int
	path, host, length   string
	scheme, expect       string
	cookieAt, cookieSize int
	cookies              []string
	prio                 h2Prio
	hasPrio              bool
}

// begin prepares for the block of a stream.
func (h *h2Head) begin(id uint32, st *h2Stream, trailers bool, lim *Limits) {
	h.h2HeadState = h2HeadState{id: id, st: st, trailers: trailers, lim: lim}
	if st != nil && !trailers {
		st.req.Header = httpfield.Fields(st.fields[:0])
	}
}

func (h *h2Head) breaks(reason Reason) {
	if h.malformed == "" {
		h.malformed = reason
	}
}

func (h *h2Head) refuse(reason Reason) {
	if h.refused == "" {
		h.refused = reason
	}
}

// once reports whether a field that may not be repeated comes for the first time.
func (h *h2Head) once(kind uint16) bool {
	first := h.seen&(1<<kind) == 0
	h.seen |= 1 << kind
	return first
}

// add takes one field line.
func (h *h2Head) add(f hpack.Field) {
	if h.st == nil {
		return
	}
	// RFC 9113, Section 6.5.2: that is how SETTINGS_MAX_HEADER_LIST_SIZE counts.
	h.size += len(f.Name) + len(f.Value) + 32
	h.count++
	kind := f.Mark & 0xff
	switch {
	case f.Mark&h2BadName != 0:
		h.breaks(ReasonBadFieldName)
	case f.Mark&h2BadValue != 0:
		h.breaks(ReasonBadFieldValue)
	case kind == h2HopByHop:
		h.breaks(ReasonBadConnection)
	case h.size > h.lim.HeadBytes:
		h.refuse(ReasonHeadTooLarge)
	case h.count > h.lim.HeaderCount:
		h.refuse(ReasonTooManyFields)
	case h2Method <= kind && kind <= h2OtherPseudo:
		h.pseudo(kind, f.Value)
	default:
		h.plain = true
		if !h.trailers {
			h.field(kind, f)
		}
	}
}

// pseudo takes a pseudo-header field (RFC 9113, Section 8.3).
func (h *h2Head) pseudo(kind uint16, value string) {
	if h.trailers || h.plain || kind == h2OtherPseudo || !h.once(kind) || value == "" && kind != h2Authority {
		h.breaks(ReasonPseudoField)
		return
	}
	r := &h.st.req
	switch kind {
	case h2Method:
		r.Method = value
	case h2Scheme:
		h.scheme = value
	case h2Authority:
		r.Authority = value
	case h2Path:
		h.path = value
		r.Path = value // for reports, until it is taken apart
	}
}

func (h *h2Head) field(kind uint16, f hpack.Field) {
	fields := &h.st.req.Header
	switch kind {
	case h2Host:
		if !h.once(kind) {
			h.breaks(ReasonDupHost)
		}
		h.host = f.Value
		return
	case h2Length:
		if !h.once(kind) {
			h.breaks(ReasonDupContentLength)
		}
		h.length = f.Value
	case h2Expect:
		if !h.once(kind) {
			h.refuse(ReasonBadExpect)
		}
		h.expect = f.Value
	case h2Prioritized:
		if h.once(kind) {
			h.prio, h.hasPrio = parsePriority(f.Value)
		}
	case h2Cookie:
		// A cookie may be split for compression; others want it whole (RFC 9113, Section 8.2.3).
		if !h.once(kind) {
			if h.cookies == nil {
				h.cookies = append(h.cookies, (*fields)[h.cookieAt].Value)
			}
			h.cookies = append(h.cookies, f.Value)
			return
		}
		h.cookieAt = len(*fields)
	}
	*fields = append(*fields, httpfield.Field{Name: f.Name, Value: f.Value})
}

// finish checks the whole and completes the request. endStream says that no body
// follows.
func (h *h2Head) finish(c *h2Conn, endStream bool) {
	r := &h.st.req
	if len(h.cookies) > 0 {
		r.Header[h.cookieAt].Value = strings.Join(h.cookies, "; ")
	}
	if h.malformed != "" {
		return
	}
	h.setTarget(c)
	h.setBody(endStream)
	if h.expect != "" && !strings.EqualFold(h.expect, "100-continue") {
		h.refuse(ReasonBadExpect)
	}
	h.st.body.owe100 = h.expect != "" && r.Body != nil
}

// setTarget checks what is asked for (RFC 9113, Section 8.3.1).
func (h *h2Head) setTarget(c *h2Conn) {
	r := &h.st.req
	r.Scheme = "http"
	if c.info.TLS != nil {
		r.Scheme = "https"
	}
	has := func(kind uint16) bool { return h.seen&(1<<kind) != 0 }
	if !has(h2Method) && h.refused != ReasonHeadTooLarge {
		h.breaks(ReasonPseudoField)
		return
	}
	if r.Method == "CONNECT" {
		// RFC 9113, Section 8.5.
		if has(h2Scheme) || has(h2Path) || !has(h2Authority) {
			h.breaks(ReasonPseudoField)
		}
		h.refuse(ReasonConnectTarget)
		return
	}
	switch {
	case h.refused == ReasonHeadTooLarge || h.refused == ReasonTooManyFields:
		return // some of it was not looked at
	case !has(h2Scheme) || !has(h2Path):
		h.breaks(ReasonPseudoField)
		return
	case h.path[0] != '/' && h.path != "*":
		h.breaks(ReasonBadTarget)
		return
	}
	if !validMethod(r.Method) {
		h.refuse(ReasonBadMethod)
	}
	if h.scheme != r.Scheme && !strings.EqualFold(h.scheme, r.Scheme) {
		h.refuse(ReasonSchemeMismatch)
	}
	h.setAuthority(has(h2Host))
	if len(h.path) > h.lim.URLBytes {
		h.refuse(ReasonURLTooLong)
		return
	}
	path, query, hasQuery, ok := splitTarget(h.path, r.Method)
	if !ok {
		h.refuse(ReasonBadTarget)
		return
	}
	r.Path, r.Query, r.HasQuery = path, query, hasQuery
}

// setAuthority finds the one host that is asked for. A host field that says
// otherwise is an attempt to be read in two ways (RFC 9113, Section 8.3.1).
func (h *h2Head) setAuthority(hasHost bool) {
	r := &h.st.req
	if hasHost {
		switch {
		case r.Authority == "":
			r.Authority = h.host
		case !strings.EqualFold(r.Authority, h.host):
			h.breaks(ReasonHostMismatch)
			return
		}
	}
	if r.Authority == "" {
		h.refuse(ReasonMissingHost)
		return
	}
	authority, ok := normalAuthority(r.Authority)
	if !ok {
		h.refuse(ReasonBadHost)
		return
	}
	r.Authority = authority
}

// setBody decides whether there is a body and how long it is (RFC 9113, Section 8.1.1).
func (h *h2Head) setBody(endStream bool) {
	st := h.st
	r := &st.req
	length := int64(-1)
	if h.seen&(1<<h2Length) != 0 {
		n, ok := parseContentLength(h.length)
		switch {
		case !ok:
			h.breaks(ReasonBadContentLength)
			return
		case endStream && n > 0:
			h.breaks(ReasonBodyLength)
			return
		case n > h.lim.BodyBytes:
			h.refuse(ReasonBodyTooLarge)
		}
		length = n
	}
	st.body.left = length
	if endStream || length == 0 {
		return
	}
	r.ContentLength = length
	r.Body = &st.body
}

// readFor returns what a report may say of a stream that was not opened.
func (h *h2Head) readFor(c *h2Conn, id uint32) *h2Stream {
	if h.st == nil || h.id != id || h.trailers {
		return &h2Stream{c: c, id: id}
	}
	h.st.label()
	return h.st
}
