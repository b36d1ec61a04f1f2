package viewerhttp

import (
	"strings"

	"pqfront/internal/httpfield"
)

// sectionHead makes a request of one field section. HTTP/2 and HTTP/3 have the same
// rules (RFC 9113, Sections 8.1 to 8.3; RFC 9114, Sections 4.1 to 4.3). Broken ones do
// not stop it: malformed and refused hold the first of each kind.
type sectionHead struct {
	req      *Request // not needed for trailers, whose fields nobody wants
	trailers bool
	lim      *Limits

	malformed Reason // the stream is reset (RFC 9113, Section 8.1.1; RFC 9114, Section 4.1.2)
	refused   Reason // the request is answered with the reason's status

	seen               uint16 // bits 1 << kind
	plain              bool   // a field that is no pseudo-header field came
	path, host, length string
	scheme, expect     string
	emptyAuthority     bool
	cookieAt           int
	cookies            []string
	prio               h2Prio
	hasPrio            bool

	left   int64 // content-length; -1: not said
	owe100 bool
}

func (h *sectionHead) breaks(reason Reason) {
	if h.malformed == "" {
		h.malformed = reason
	}
}

func (h *sectionHead) refuse(reason Reason) {
	if h.refused == "" {
		h.refused = reason
	}
}

// once reports whether a field that may not be repeated comes for the first time.
func (h *sectionHead) once(kind uint16) bool {
	first := h.seen&(1<<kind) == 0
	h.seen |= 1 << kind
	return first
}

func (h *sectionHead) has(kind uint16) bool { return h.seen&(1<<kind) != 0 }

// judge says what is wrong with a field by its mark from inspectH2Field.
func (h *sectionHead) judge(mark uint16) (good bool) {
	switch {
	case mark&h2BadName != 0:
		h.breaks(ReasonBadFieldName)
	case mark&h2BadValue != 0:
		h.breaks(ReasonBadFieldValue)
	case mark&0xff == h2HopByHop:
		h.breaks(ReasonBadConnection)
	default:
		return true
	}
	return false
}

// add takes one field line with its mark.
func (h *sectionHead) add(name, value string, mark uint16) {
	kind := mark & 0xff
	switch {
	case !h.judge(mark):
	case h2Method <= kind && kind <= h2OtherPseudo:
		h.pseudo(kind, value)
	default:
		h.plain = true
		if !h.trailers {
			h.field(kind, name, value)
		}
	}
}

// pseudo takes a pseudo-header field (RFC 9113, Section 8.3; RFC 9114, Section 4.3).
func (h *sectionHead) pseudo(kind uint16, value string) {
	if h.trailers || h.plain || kind == h2OtherPseudo || !h.once(kind) || value == "" && kind != h2Authority {
		h.breaks(ReasonPseudoField)
		return
	}
	switch kind {
	case h2Method:
		h.req.Method = value
	case h2Scheme:
		h.scheme = value
	case h2Authority:
		h.req.Authority = value
		h.emptyAuthority = value == ""
	case h2Path:
		h.path = value
		h.req.Path = value // for reports, until it is taken apart
	}
}

func (h *sectionHead) field(kind uint16, name, value string) {
	fields := &h.req.Header
	switch kind {
	case h2Host:
		if !h.once(kind) {
			h.breaks(ReasonDupHost)
		}
		h.host = value
		return
	case h2Length:
		if !h.once(kind) {
			h.breaks(ReasonDupContentLength)
		}
		h.length = value
	case h2Expect:
		if !h.once(kind) {
			h.refuse(ReasonBadExpect)
		}
		h.expect = value
	case h2Prioritized:
		if h.once(kind) {
			h.prio, h.hasPrio = parsePriority(value)
		}
	case h2Cookie:
		// A cookie may be split for compression; others want it whole (RFC
		// 9113, Section 8.2.3; RFC 9114, Section 4.2.1).
		if !h.once(kind) {
			if h.cookies == nil {
				h.cookies = append(h.cookies, (*fields)[h.cookieAt].Value)
			}
			h.cookies = append(h.cookies, value)
			return
		}
		h.cookieAt = len(*fields)
	}
	*fields = append(*fields, httpfield.Field{Name: name, Value: value})
}

// finish checks the whole and completes the request, all but its body. secure is
// whether the connection is.
func (h *sectionHead) finish(secure bool) {
	r := h.req
	h.left = -1
	if len(h.cookies) > 0 {
		r.Header[h.cookieAt].Value = strings.Join(h.cookies, "; ")
	}
	if h.malformed != "" {
		return
	}
	r.Scheme = "http"
	if secure {
		r.Scheme = "https"
	}
	h.setTarget()
	if h.has(h2Length) {
		n, ok := parseContentLength(h.length)
		switch {
		case !ok:
			h.breaks(ReasonBadContentLength)
			return
		case n > h.lim.BodyBytes:
			h.refuse(ReasonBodyTooLarge)
		}
		h.left = n
	}
	if h.expect != "" && !strings.EqualFold(h.expect, "100-continue") {
		h.refuse(ReasonBadExpect)
	}
	h.owe100 = h.expect != ""
}

// setTarget checks what is asked for (RFC 9113, Section 8.3.1; RFC 9114, Section 4.3.1).
func (h *sectionHead) setTarget() {
	r := h.req
	cut := h.refused == ReasonHeadTooLarge || h.refused == ReasonTooManyFields
	if !h.has(h2Method) && !cut {
		h.breaks(ReasonPseudoField)
		return
	}
	if r.Method == "CONNECT" {
		// RFC 9113, Section 8.5; RFC 9114, Section 4.4.
		if h.has(h2Scheme) || h.has(h2Path) || !h.has(h2Authority) {
			h.breaks(ReasonPseudoField)
		}
		h.refuse(ReasonConnectTarget)
		return
	}
	switch {
	case cut:
		return // some of it was not looked at
	case !h.has(h2Scheme) || !h.has(h2Path):
		h.breaks(ReasonPseudoField)
		return
	case h.path[0] != '/' && h.path != "*":
		h.breaks(ReasonBadTarget)
		return
	}
	if !validMethod(r.Method) {
		h.refuse(ReasonBadMethod)
	}
	if !strings.EqualFold(h.scheme, r.Scheme) {
		h.refuse(ReasonSchemeMismatch)
	}
	h.setAuthority()
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
// otherwise is an attempt to be read in two ways (RFC 9113, Section 8.3.1; RFC 9114,
// Section 4.3.1).
func (h *sectionHead) setAuthority() {
	r := h.req
	if h.has(h2Host) {
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
