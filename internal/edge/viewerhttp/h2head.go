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

	sectionHead
	id          uint32
	st          *h2Stream // nil: nobody wants the fields
	size, count int
}

// begin prepares for the block of a stream.
func (h *h2Head) begin(id uint32, st *h2Stream, trailers bool, lim *Limits) {
	*h = h2Head{emit: h.emit, id: id, st: st, sectionHead: sectionHead{trailers: trailers, lim: lim}}
	if st != nil {
		h.req = &st.req
		if !trailers {
			st.req.Header = httpfield.Fields(st.fields[:0])
		}
	}
}

// forget lets go of the stream.
func (h *h2Head) forget() { *h = h2Head{emit: h.emit} }

// add takes one field line.
func (h *h2Head) add(f hpack.Field) {
	if h.st == nil {
		return
	}
	// RFC 9113, Section 6.5.2: that is how SETTINGS_MAX_HEADER_LIST_SIZE counts.
	h.size += len(f.Name) + len(f.Value) + 32
	h.count++
	switch {
	case h.size > h.lim.HeadBytes:
		h.judge(f.Mark)
		h.refuse(ReasonHeadTooLarge)
	case h.count > h.lim.HeaderCount:
		h.judge(f.Mark)
		h.refuse(ReasonTooManyFields)
	default:
		h.sectionHead.add(f.Name, f.Value, f.Mark)
	}
}

// finish checks the whole and completes the request. endStream says that no body
// follows.
func (h *h2Head) finish(c *h2Conn, endStream bool) {
	h.sectionHead.finish(c.info.TLS != nil)
	st := h.st
	if endStream && h.left > 0 {
		h.breaks(ReasonBodyLength)
	}
	st.body.left = h.left
	if h.malformed != "" || endStream || h.left == 0 {
		return
	}
	st.req.ContentLength = h.left
	st.req.Body = &st.body
	st.body.owe100 = h.owe100
}

// readFor returns what a report may say of a stream that was not opened.
func (h *h2Head) readFor(c *h2Conn, id uint32) *h2Stream {
	if h.st == nil || h.id != id || h.trailers {
		return &h2Stream{c: c, id: id}
	}
	h.st.label()
	return h.st
}
