package accesslog

import (
	"bufio"
	"io"
)

// WriteReference writes docs/reference/log-fields.md from the tables of fields.
func WriteReference(w io.Writer) error {
	b := bufio.NewWriter(w)
	b.WriteString("# Log fields\n\n" +
		"<!-- Made from the tables in internal/edge/accesslog by `go test ./internal/edge/accesslog -update`. Do not edit. -->\n\n" +
		"There are two access logs. Either may be off.\n\n" +
		"## Standard log\n\n" +
		"CloudFront's standard log, version 1: one line per request, fields in this order, separated by tabs, after two lines\n" +
		"`#Version: 1.0` and `#Fields: ...`. A field without a value is `-`. Code points 0 to 32, 127 and above, and\n" +
		"`` \" # % ' < > [ \\ ] ^ ` { | } ~ `` are percent-encoded, so no request can forge a line or a field. Times are in UTC;\n" +
		"durations are seconds with three decimals. A line `#Remark: ...` tells how many records were dropped because the\n" +
		"disk was too slow. Refused handshakes and malformed requests are only in the JSON log, as CloudFront has no line for them.\n\n")
	table(b, standardFields[:], true)
	b.WriteString("\n## JSON log\n\n" +
		"One JSON object per line. `type` is `request`, `handshake` (a TLS handshake that was refused or failed), `rejection`\n" +
		"(a request that never reached a distribution because it was malformed, too large or too slow) or `dropped` (`records`\n" +
		"lines are missing here because the disk was too slow). Fields without a value are left out; numbers are numbers,\n" +
		"durations are seconds, strings are not percent-encoded.\n\n" +
		"### request\n\nAll fields of the standard log, these, and the TLS fields below.\n\n")
	table(b, requestFields[:], false)
	b.WriteString("\n### handshake\n\nThese and the TLS fields below.\n\n")
	table(b, connectionFields[:], false)
	b.WriteString("\n### rejection\n\nThese and the TLS fields below.\n\n")
	table(b, rejectionFields[:], false)
	b.WriteString("\n### TLS fields\n\nIn every type, unless the request came over plain HTTP.\n\n")
	table(b, tlsFields[:], false)
	return b.Flush()
}

func table[T any](b *bufio.Writer, fields []field[T], numbered bool) {
	head, rule := "| field | meaning |\n", "|---|---|\n"
	if numbered {
		head, rule = "| # | field | meaning |\n", "|---|---|---|\n"
	}
	b.WriteString(head + rule)
	for i := range fields {
		b.WriteString("| ")
		if numbered {
			if i+1 >= 10 {
				b.WriteByte(byte('0' + (i+1)/10))
			}
			b.WriteByte(byte('0' + (i+1)%10))
			b.WriteString(" | ")
		}
		b.WriteString("`" + fields[i].name + "` | " + fields[i].doc + " |\n")
	}
}
