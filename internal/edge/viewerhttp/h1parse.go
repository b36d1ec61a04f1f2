package viewerhttp

import (
	"bytes"
	"slices"
	"strings"

	"pqfront/internal/httpfield"
)

// headScan finds the end of a head in bytes that arrive bit by bit. It checks line
// ends and the request line on the way, so that junk is refused when it is seen and
// not when a timeout ends the wait for more.
type headScan struct {
	pos     int  // bytes looked at
	start   int  // of the current line
	gotLine bool // the request line is complete
	fields  int  // where the field lines begin
	end     int  // length of the head; 0 while it is incomplete
}

// versionRoom is what a request line has besides its target: the longest method,
// two spaces, the version and the line end.
const versionRoom = 32 + 2 + 8 + 2

// feed looks at b, everything read since the head began. It returns a reason to
// refuse, or "" with s.end set when the head is complete.
func (s *headScan) feed(b []byte, lim *Limits, x *exchange) Reason {
	const tlsHandshake = 0x16 // RFC 8446, Section 5.1: the type of the first record
	if s.pos == 0 && len(b) > 0 && b[0] == tlsHandshake {
		return ReasonTLSOnPlain
	}
	for s.end == 0 {
		i := bytes.IndexByte(b[s.pos:], '\n')
		if i < 0 {
			s.pos = len(b)
			return s.tooLong(len(b), lim)
		}
		i += s.pos
		// RFC 9112, Section 2.2 lets us take a bare LF for a line end; others on the way
		// may not, so we do not.
		if i == s.start || b[i-1] != '\r' {
			return ReasonBareLF
		}
		line, first := b[s.start:i-1], s.start == 0
		s.pos, s.start = i+1, i+1
		if reason := s.lineDone(line, first, lim, x); reason != "" {
			return reason
		}
	}
	return s.tooLong(s.end, lim)
}

func (s *headScan) lineDone(line []byte, first bool, lim *Limits, x *exchange) Reason {
	switch {
	case s.gotLine && len(line) == 0:
		s.end = s.pos
	case s.gotLine:
	case len(line) == 0 && first:
		// RFC 9112, Section 2.2: at least one empty line before the request line is to be
		// ignored; some clients end a body with one too many.
	default:
		s.gotLine, s.fields = true, s.pos
		return x.parseRequestLine(line, lim)
	}
	return ""
}

func (s *headScan) tooLong(n int, lim *Limits) Reason {
	if !s.gotLine && n-s.start > lim.URLBytes+versionRoom {
		return ReasonURLTooLong
	}
	if n > lim.HeadBytes {
		return ReasonHeadTooLarge
	}
	return ""
}

// parseRequestLine takes apart "method SP target SP version" (RFC 9112, Section 3),
// with exactly one space in either place.
func (x *exchange) parseRequestLine(line []byte, lim *Limits) Reason {
	if bytes.IndexByte(line, '\r') >= 0 {
		return ReasonBareCR
	}
	method, rest, ok := bytes.Cut(line, []byte(" "))
	if !validMethod(method) {
		return ReasonBadMethod
	}
	x.req.Method = methodString(method)
	if !ok || len(rest) == 0 {
		return ReasonBadRequestLine
	}
	i := bytes.LastIndexByte(rest, ' ')
	if i < 0 {
		x.req.Path = clip(string(rest))
		return ReasonHTTP09
	}
	target, version := string(rest[:i]), rest[i+1:]
	if len(target) > lim.URLBytes {
		x.req.Path = clip(target)
		return ReasonURLTooLong
	}
	x.req.Path = target // for the report, until it is taken apart
	if target == "" || strings.IndexByte(target, ' ') >= 0 {
		return ReasonBadRequestLine
	}
	if reason := x.parseVersion(version, target); reason != "" {
		return reason
	}
	return x.parseTarget(target)
}

// methodString saves the common methods a copy.
func methodString(b []byte) string {
	switch string(b) {
	case "GET":
		return "GET"
	case "HEAD":
		return "HEAD"
	case "POST":
		return "POST"
	case "OPTIONS":
		return "OPTIONS"
	}
	return string(b)
}

// parseVersion takes HTTP/1.0 and HTTP/1.1 only (RFC 9112, Section 2.3).
func (x *exchange) parseVersion(v []byte, target string) Reason {
	switch string(v) {
	case "HTTP/1.1":
		x.req.Proto = HTTP11
		return ""
	case "HTTP/1.0":
		x.req.Proto = HTTP10
		return ""
	}
	digit := func(b byte) bool { return '0' <= b && b <= '9' }
	if len(v) != 8 || string(v[:5]) != "HTTP/" || !digit(v[5]) || v[6] != '.' || !digit(v[7]) {
		return ReasonBadVersion
	}
	if x.req.Method == "PRI" && target == "*" && string(v) == "HTTP/2.0" {
		return ReasonH2Preface // RFC 9113, Section 3.4
	}
	return ReasonUnsupported
}

// parseTarget handles the four forms of RFC 9112, Section 3.2.
func (x *exchange) parseTarget(target string) Reason {
	r := &x.req
	r.Scheme = "http"
	if x.c.info.TLS != nil {
		r.Scheme = "https"
	}
	if target[0] != '/' && target != "*" {
		if r.Method == "CONNECT" {
			return ReasonConnectTarget
		}
		var reason Reason
		if target, reason = x.parseAbsolute(target); reason != "" {
			return reason
		}
	}
	path, query, hasQuery, ok := splitTarget(target, r.Method)
	if !ok {
		return ReasonBadTarget
	}
	r.Path, r.Query, r.HasQuery = path, query, hasQuery
	return ""
}

// parseAbsolute takes scheme and authority off an absolute-form target and returns
// the rest as if it had come in origin-form.
func (x *exchange) parseAbsolute(target string) (string, Reason) {
	scheme, rest, ok := strings.Cut(target, "://")
	if !ok || !all(target, isTarget, 0) {
		return "", ReasonBadTarget
	}
	scheme = strings.ToLower(scheme)
	if scheme != "http" && scheme != "https" {
		return "", ReasonBadTarget
	}
	if scheme != x.req.Scheme {
		return "", ReasonSchemeMismatch
	}
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	if x.absolute, ok = normalAuthority(rest[:end]); !ok {
		return "", ReasonBadHost
	}
	rest = rest[end:]
	switch {
	case rest == "" && x.req.Method == "OPTIONS":
		return "*", "" // RFC 9112, Section 3.2.4
	case rest == "" || rest[0] == '?':
		return "/" + rest, "" // RFC 9110, Section 4.2.3: an empty path is "/"
	}
	return rest, ""
}

// fieldAt is where one field line's parts stand in its section.
type fieldAt struct{ name, nameEnd, value, valueEnd int }

// parseFieldLine checks one field line without its line end and turns the name to
// lower case in place (RFC 9112, Section 5).
func parseFieldLine(line []byte) (fieldAt, Reason) {
	if len(line) > 0 && isSpace(line[0]) {
		return fieldAt{}, ReasonObsFold // RFC 9112, Sections 2.2 and 5.2
	}
	colon := bytes.IndexByte(line, ':')
	name := line[:max(colon, 0)]
	for i, b := range name {
		class := classes[b]
		if class&isToken == 0 {
			if isSpace(b) && isSpace(name[len(name)-1]) {
				return fieldAt{}, ReasonSpaceBeforeColon // RFC 9112, Section 5.1
			}
			return fieldAt{}, ReasonBadFieldName
		}
		if class&isUpper != 0 {
			name[i] = b + 'a' - 'A'
		}
	}
	if len(name) == 0 {
		if bytes.IndexByte(line, '\r') >= 0 {
			return fieldAt{}, ReasonBareCR
		}
		return fieldAt{}, ReasonBadFieldName
	}
	at := fieldAt{nameEnd: colon, value: colon + 1, valueEnd: len(line)}
	if value := line[at.value:]; !validFieldValue(value) {
		if bytes.IndexByte(value, '\r') >= 0 {
			return fieldAt{}, ReasonBareCR
		}
		return fieldAt{}, ReasonBadFieldValue
	}
	for at.value < at.valueEnd && isSpace(line[at.value]) {
		at.value++
	}
	for at.value < at.valueEnd && isSpace(line[at.valueEnd-1]) {
		at.valueEnd--
	}
	return at, ""
}

// parseFields parses a complete field section, empty line included, whose line
// ends headScan has checked, and fills in what it decides on.
func (x *exchange) parseFields(b []byte, lim *Limits) Reason {
	var few [32]fieldAt
	found := few[:0]
	for i := 0; ; {
		n := bytes.IndexByte(b[i:], '\n')
		if n == 1 {
			break // the empty line
		}
		if len(found) == lim.HeaderCount {
			return ReasonTooManyFields
		}
		at, reason := parseFieldLine(b[i : i+n-1])
		if reason != "" {
			return reason
		}
		found = append(found, fieldAt{at.name + i, at.nameEnd + i, at.value + i, at.valueEnd + i})
		i += n + 1
	}
	s := string(b) // the one copy: all names and values are parts of it
	fields := httpfield.Fields(x.fields[:0:len(x.fields)])
	if len(found) > cap(fields) {
		fields = make(httpfield.Fields, 0, len(found))
	}
	var m messageFields
	for _, at := range found {
		f := httpfield.Field{Name: s[at.name:at.nameEnd], Value: s[at.value:at.valueEnd]}
		if m.note(f) {
			fields = append(fields, f)
		}
	}
	if m.badConnection {
		return ReasonBadConnection
	}
	x.req.Header = m.dropNominated(fields)
	if reason := x.setAuthority(&m); reason != "" {
		return reason
	}
	if reason := x.setFraming(&m, lim); reason != "" {
		return reason
	}
	x.keepAlive = !m.close && (x.req.Proto == HTTP11 || m.keepAlive) // RFC 9112, Section 9.3
	return x.setExpect(&m)
}

// messageFields gathers the fields that the engine itself acts on.
type messageFields struct {
	host, length, coding, expect     string
	hosts, lengths, codings, expects int
	close, keepAlive, badConnection  bool
	nominated                        []string
}

// note takes notice of f and reports whether the Handler is to see it.
func (m *messageFields) note(f httpfield.Field) bool {
	switch f.Name {
	case "host":
		m.host = f.Value
		m.hosts++
		return false
	case "content-length":
		m.length = f.Value
		m.lengths++
	case "transfer-encoding":
		m.coding = f.Value
		m.codings++
		return false
	case "expect":
		m.expect = f.Value
		m.expects++
	case "connection":
		m.connection(f.Value)
		return false
	case "keep-alive", "proxy-connection", "upgrade":
		// Upgrade is ignored: a server may (RFC 9110, Section 7.8).
		return false
	}
	return true
}

// connection reads a list of connection options (RFC 9110, Section 7.6.1).
func (m *messageFields) connection(list string) {
	for opt := range strings.SplitSeq(list, ",") {
		opt = strings.ToLower(strings.Trim(opt, " \t"))
		switch {
		case opt == "":
		case !validFieldName(opt):
			m.badConnection = true
		case opt == "close":
			m.close = true
		case opt == "keep-alive":
			m.keepAlive = true
		default:
			m.nominated = append(m.nominated, opt)
		}
	}
}

// dropNominated removes the fields that Connection declares to be meant for this
// hop only. Content-Length stays: the framing is decided already.
func (m *messageFields) dropNominated(fields httpfield.Fields) httpfield.Fields {
	if len(m.nominated) == 0 {
		return fields
	}
	return slices.DeleteFunc(fields, func(f httpfield.Field) bool {
		return f.Name != "content-length" && slices.Contains(m.nominated, f.Name)
	})
}

// setAuthority finds the one host that is asked for (RFC 9112, Section 3.2).
func (x *exchange) setAuthority(m *messageFields) Reason {
	switch {
	case m.hosts > 1:
		return ReasonDupHost
	case m.hosts == 0 && (x.req.Proto == HTTP11 || x.absolute == ""):
		// An HTTP/1.0 request without a host names no distribution either.
		return ReasonMissingHost
	case m.hosts == 0:
		x.req.Authority = x.absolute
		return ""
	}
	host, ok := normalAuthority(m.host)
	if !ok {
		x.req.Authority = m.host // for the report
		return ReasonBadHost
	}
	if x.absolute != "" && x.absolute != host {
		// RFC 9112, Section 3.2.2 has us ignore Host here. A client that follows it sends
		// the same in both places, so a difference is an attempt to be read in two ways.
		return ReasonHostMismatch
	}
	x.req.Authority = host
	return ""
}

// setFraming decides where the body ends (RFC 9112, Section 6.3).
func (x *exchange) setFraming(m *messageFields, lim *Limits) Reason {
	r := &x.req
	if m.codings > 0 {
		switch {
		case m.lengths > 0:
			return ReasonContentLengthAndTE
		case r.Proto == HTTP10:
			return ReasonTEOnHTTP10 // RFC 9112, Section 6.1
		case m.codings > 1:
			return ReasonDupTE
		case !strings.EqualFold(m.coding, "chunked"):
			return ReasonBadTE
		}
		x.body.chunked = true
		r.ContentLength = -1
	}
	if m.lengths > 0 {
		n, ok := parseContentLength(m.length)
		switch {
		case m.lengths > 1:
			return ReasonDupContentLength
		case !ok:
			return ReasonBadContentLength
		case n > lim.BodyBytes:
			return ReasonBodyTooLarge
		}
		x.body.left = n
		r.ContentLength = n
	}
	if r.ContentLength != 0 {
		x.body.x = x
		r.Body = &x.body
	}
	return ""
}

// setExpect notes that 100 (Continue) is owed (RFC 9110, Section 10.1.1). HTTP/1.0
// has no expectations.
func (x *exchange) setExpect(m *messageFields) Reason {
	if m.expects == 0 || x.req.Proto == HTTP10 {
		return ""
	}
	if m.expects > 1 || !strings.EqualFold(m.expect, "100-continue") {
		return ReasonBadExpect
	}
	x.body.owe100 = x.req.Body != nil
	return ""
}
