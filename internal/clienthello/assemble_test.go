package clienthello

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"pqfront/internal/rawtls"
	"pqfront/internal/tlspolicy"
)

// records puts a message into records of at most size bytes.
func records(msg []byte, size int) []byte {
	var wire []byte
	for chunk := range slices.Chunk(msg, size) {
		wire = append(append(wire, 22, 3, 1), rawtls.Vector16(chunk)...)
	}
	return wire
}

// feed gives the bytes in pieces of n and returns what came of it, with how many
// bytes that took.
func feed(a *Assembler, wire []byte, n int) ([]byte, error, int) {
	used := 0
	for piece := range slices.Chunk(wire, n) {
		used += len(piece)
		if msg, err := a.Feed(piece); msg != nil || err != nil {
			return msg, err, used
		}
	}
	return nil, nil, used
}

// TestAssemble: any cut into records and reads gives the same message.
func TestAssemble(t *testing.T) {
	msg := browser().Marshal()
	rapid.Check(t, func(t *rapid.T) {
		wire := records(msg, rapid.IntRange(1, 2000).Draw(t, "record"))
		var a Assembler
		got, err, _ := feed(&a, wire, rapid.IntRange(1, 3000).Draw(t, "read"))
		if err != nil || !bytes.Equal(got, msg) || !bytes.Equal(a.Wire(), wire) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
	})
	var a Assembler
	wire := records(msg, 1<<14)
	for i := range wire[:len(wire)-1] {
		if got, err := a.Feed(wire[i : i+1]); got != nil || err != nil {
			t.Fatalf("after %d bytes: %v, %v", i+1, got, err)
		}
	}
	var e *Error
	if !errors.As(a.End(), &e) || e.Reason != tlspolicy.ReasonIncomplete {
		t.Errorf("End: %v", a.End())
	}
	// What follows in another record is the engine's affair; Wire has it.
	a = Assembler{}
	if got, err := a.Feed(append(slices.Clone(wire), 20, 3, 3, 0, 1, 1)); err != nil || !bytes.Equal(got, msg) || len(a.Wire()) != len(wire)+6 {
		t.Errorf("with a record behind: %v", err)
	}
}

// TestForeign: one line per kind of bytes that are no acceptable hello, and after how
// many of them, coming one by one, that is clear.
func TestForeign(t *testing.T) {
	check := func(wire string, want tlspolicy.Reason, after int) {
		t.Helper()
		var a Assembler
		_, err, used := feed(&a, []byte(wire), 1)
		var e *Error
		if !errors.As(err, &e) || e.Reason != want || used != after {
			t.Errorf("%.20q: %v after %d bytes, want %s after %d", wire, err, used, want, after)
		}
		if again, err2 := a.Feed([]byte{1}); again != nil || err2 != err || a.End() != err {
			t.Errorf("%.20q: after the error, Feed says %v and End %v", wire, err2, a.End())
		}
		a = Assembler{}
		if _, err := a.Feed([]byte(wire)); !errors.As(err, &e) || e.Reason != want {
			t.Errorf("%.20q at once: %v, want %s", wire, err, want)
		}
	}
	check("GET / HTTP/1.1\r\n", tlspolicy.ReasonHTTP, 4)
	check("POST / HTTP/1.1\r\n", tlspolicy.ReasonHTTP, 5)
	check("OPTIONS * HTTP/1.1\r\n", tlspolicy.ReasonHTTP, 8)
	check("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", tlspolicy.ReasonHTTP, 4)
	check("GETTING", tlspolicy.ReasonNotTLS, 4)
	check("get / HTTP/1.1\r\n", tlspolicy.ReasonNotTLS, 1)
	check("SSH-2.0-x\r\n", tlspolicy.ReasonNotTLS, 1)
	check("\x00\x00\x00\x00\x00", tlspolicy.ReasonNotTLS, 1)
	check("\x80\x2e\x01\x00\x02", tlspolicy.ReasonSSLv2, 5)
	check("\x80\x67\x01\x03\x01", tlspolicy.ReasonSSLv2, 5)
	check("\x80\x67\x02\x03\x01", tlspolicy.ReasonNotTLS, 5)
	check("\xff\xff\xff\xff\xff", tlspolicy.ReasonNotTLS, 5)
	check("\x15\x03\x01\x00\x02\x02\x28", tlspolicy.ReasonUnexpectedMessage, 3) // an alert
	check("\x17\x03\x03\x00\x01a", tlspolicy.ReasonUnexpectedMessage, 3)
	check("\x14\x03\x03\x00\x01\x01", tlspolicy.ReasonUnexpectedMessage, 3)
	check("\x15\x04\x00", tlspolicy.ReasonNotTLS, 3)
	check("\x16\x10\x00\x00\x01", tlspolicy.ReasonNotTLS, 5)
	check("\x16\x03\x01\x00\x00", tlspolicy.ReasonUnexpectedMessage, 5)     // empty record
	check("\x16\x03\x01\x40\x01", tlspolicy.ReasonMalformed, 5)             // RFC 8446, Section 5.1: at most 2^14
	check("\x16\x03\x01\x00\x04\x02", tlspolicy.ReasonUnexpectedMessage, 6) // a ServerHello
	check("\x16\x03\x01\x00\x04\x01\x01\x00\x01", tlspolicy.ReasonTooLarge, 9)
	check("\x16\x03\x01\x00\x02\x01\x01\x16\x03\x01\x00\x02\xff\xff", tlspolicy.ReasonTooLarge, 14)
	check("\x16\x03\x01\x00\x02\x01\x00\x15\x03\x01\x00\x02\x01\x00", tlspolicy.ReasonUnexpectedMessage, 8)
}

func TestLimits(t *testing.T) {
	check := func(a *Assembler, wire []byte, want tlspolicy.Reason) {
		t.Helper()
		_, err, _ := feed(a, wire, 100)
		var e *Error
		if want == "" && err == nil {
			return
		}
		if !errors.As(err, &e) || e.Reason != want {
			t.Errorf("%v, want %s", err, want)
		}
		if len(a.Wire()) > 2*MaxSize+1000 {
			t.Errorf("%d bytes were kept", len(a.Wire()))
		}
	}
	padded := func(n int) []byte {
		h := browser()
		h.Extensions = append(h.Extensions, rawtls.Padding(0))
		h.Extensions[len(h.Extensions)-1] = rawtls.Padding(n - len(h.Marshal()) + 4)
		return h.Marshal()
	}
	check(&Assembler{}, records(padded(60000), 1<<14), "")
	check(&Assembler{Max: 2000}, records(padded(2000), 1<<14), "")
	check(&Assembler{Max: 2000}, records(padded(2001), 1<<14), tlspolicy.ReasonTooLarge)
	check(&Assembler{Max: 2000}, records(padded(2000), 10), "")
	check(&Assembler{Max: 2000}, records(padded(2000), 4), tlspolicy.ReasonTooLarge) // more frame than picture
	check(&Assembler{}, []byte{22, 3, 1, 0, 4, 1, 1, 0, 1}, tlspolicy.ReasonTooLarge)
	huge := slices.Concat([]byte{22, 3, 1, 0, 4, 1, 0, 255, 255}, bytes.Repeat([]byte{22, 3, 1, 0, 1, 0}, 40000))
	check(&Assembler{}, huge, tlspolicy.ReasonTooLarge)
}

// TestNothingMayFollow: a second message in the hello's last record is refused, as
// the engine would.
func TestNothingMayFollow(t *testing.T) {
	msg := browser().Marshal()
	var a Assembler
	_, err := a.Feed(records(append(slices.Clone(msg), msg...), 1<<14))
	var e *Error
	if !errors.As(err, &e) || e.Reason != tlspolicy.ReasonUnexpectedMessage || !strings.Contains(err.Error(), "follows the hello") {
		t.Errorf("%v", err)
	}
}

func FuzzAssembler(f *testing.F) {
	f.Add(records(browser().Marshal(), 500), 7)
	f.Add([]byte("GET / HTTP/1.1\r\n"), 1)
	f.Add([]byte("\x80\x2e\x01\x00\x02"), 2)
	f.Add([]byte("\x16\x03\x01\x00\x02\x01\x00\x16\x03\x01\x00\x02\xff\xff"), 3)
	f.Fuzz(func(t *testing.T, wire []byte, n int) {
		n = max(1, n)
		whole := Assembler{Max: 4000}
		msg1, err1 := whole.Feed(wire)
		pieces := Assembler{Max: 4000}
		msg2, err2, _ := feed(&pieces, wire, n)
		if !bytes.Equal(msg1, msg2) {
			t.Fatal("the message depends on how the bytes arrive")
		}
		if (err1 == nil) != (err2 == nil) || err1 != nil && err1.(*Error).Reason != err2.(*Error).Reason {
			t.Fatalf("the error depends on how the bytes arrive: %v, %v", err1, err2)
		}
		if msg1 != nil && (len(msg1) > 4000+4 || msg1[0] != 1) {
			t.Fatalf("message of %d bytes", len(msg1))
		}
	})
}
