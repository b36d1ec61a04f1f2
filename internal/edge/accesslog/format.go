package accesslog

import "pqfront/internal/tlspolicy"

// standardHead returns the two lines that begin every standard log file.
func standardHead() []byte {
	b := []byte("#Version: 1.0\n#Fields:")
	for i := range standardFields {
		b = append(b, ' ')
		b = append(b, standardFields[i].name...)
	}
	return append(b, '\n')
}

// AppendStandard appends r as one line of CloudFront's standard log, version 1.
func AppendStandard(b []byte, r *Record) []byte {
	for i := range standardFields {
		if i > 0 {
			b = append(b, '\t')
		}
		b = standardFields[i].get(r).appendLine(b)
	}
	return append(b, '\n')
}

// AppendJSON appends r as one JSON line of type "request". Fields without a value are
// left out.
func AppendJSON(b []byte, r *Record) []byte {
	b = append(b, `{"type":"request"`...)
	b = appendFields(b, standardFields[:], r)
	b = appendFields(b, requestFields[:], r)
	return closeLine(b, r.TLS)
}

// AppendJSON appends c as one JSON line of type "handshake".
func (c *Connection) AppendJSON(b []byte) []byte {
	b = append(b, `{"type":"handshake"`...)
	b = appendFields(b, connectionFields[:], c)
	return closeLine(b, c.TLS)
}

// AppendJSON appends r as one JSON line of type "rejection".
func (r *Rejection) AppendJSON(b []byte) []byte {
	b = append(b, `{"type":"rejection"`...)
	b = appendFields(b, rejectionFields[:], r)
	return closeLine(b, r.TLS)
}

func closeLine(b []byte, h *tlspolicy.Handshake) []byte {
	if h != nil {
		b = appendFields(b, tlsFields[:], h)
	}
	return append(b, '}', '\n')
}

func appendFields[T any](b []byte, fields []field[T], from *T) []byte {
	for i := range fields {
		v := fields[i].get(from)
		if v.kind == none {
			continue
		}
		b = append(b, ',', '"')
		b = append(b, fields[i].name...) // names of ours, nothing to escape
		b = append(b, '"', ':')
		b = v.appendJSON(b)
	}
	return b
}
