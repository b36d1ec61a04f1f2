package testorigin

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestPlaysAndRecords(t *testing.T) {
	o := Start(t)
	o.On("/a", Respond(200, "hello", "X-One: 1")...)
	c, err := o.Dial(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "POST /a?q=1 HTTP/1.1\r\nhost: h\r\nb: 2\r\nA: 1\r\ncontent-length: 3\r\n\r\nabc")
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	if string(body) != "hello" || res.Header.Get("X-One") != "1" {
		t.Errorf("got %q %v", body, res.Header)
	}
	r := o.Last()
	if r.Method != "POST" || r.Target != "/a?q=1" || string(r.Body) != "abc" ||
		strings.Join(r.Lines, "|") != "host: h|b: 2|A: 1|content-length: 3" {
		t.Errorf("recorded %+v", r)
	}
}

func TestMemoryInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := Start(t, InMemory())
		o.Always(append(Script{Wait(30 * time.Second)}, Respond(204, "")...)...)
		c, err := o.Dial(context.Background(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		io.WriteString(c, "GET / HTTP/1.1\r\nhost: h\r\n\r\n")
		if _, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d != 30*time.Second {
			t.Errorf("answered after %v of the bubble's time", d)
		}
		c.Close()
		o.Close()
	})
}
