package viewerhttp

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"pqfront/internal/testnet"
)

// exchangeResult is what one raw conversation gave.
type exchangeResult struct {
	wire       string // everything the engine wrote
	seen       []string
	rejections []Rejection
}

// converse sends raw, half-closes and collects what happens. The handler reads the
// body and answers 200 with a summary.
func converse(t testing.TB, raw string, lim Limits) exchangeResult {
	t.Helper()
	var res exchangeResult
	e := &Engine{
		Limits:   lim,
		Observer: func(r Rejection) { res.rejections = append(res.rejections, r) },
		Handler: handlerFunc(func(_ context.Context, r *Request, w Responder) {
			line := r.Method + " " + r.Authority + " " + r.Path
			if r.HasQuery {
				line += "?" + r.Query
			}
			status := 200
			if r.Body != nil {
				body, err := io.ReadAll(r.Body)
				line += " body=" + strconv.Quote(string(body))
				if be, ok := err.(*BodyError); ok {
					line, status = line+" error="+string(be.Reason), be.Status
				}
			}
			res.seen = append(res.seen, line)
			w.Respond(&Response{Status: status, Bytes: []byte("ok\n")})
		}),
	}
	client, server := testnet.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.ServeH1(t.Context(), server, &Conn{})
	}()
	go func() {
		io.WriteString(client, raw)
		client.CloseWrite()
	}()
	var wire bytes.Buffer
	io.Copy(&wire, client)
	<-done
	res.wire = wire.String()
	return res
}

// TestRefused has one line for each shape that two HTTP readers could understand
// differently, or that nobody should understand at all. Each is refused before the
// handler sees it, with its own reason, and the connection ends.
func TestRefused(t *testing.T) {
	const host = "Host: a.example\r\n"
	refused := func(raw string, status int, reason Reason) {
		t.Helper()
		// What follows must never be taken for a request.
		r := converse(t, raw+"GET /smuggled HTTP/1.1\r\nHost: evil.example\r\n\r\n", Limits{})
		if len(r.seen) > 0 {
			t.Errorf("%q: the handler saw %q", raw, r.seen)
		}
		if len(r.rejections) != 1 || r.rejections[0].Reason != reason || r.rejections[0].Status != status {
			t.Errorf("%q: rejections %+v, want one with %d %s", raw, r.rejections, status, reason)
		}
		if status != 0 && (!strings.HasPrefix(r.wire, "HTTP/1.1 "+strconv.Itoa(status)+" ") ||
			!strings.Contains(r.wire, "\r\nConnection: close\r\n") || strings.Count(r.wire, "HTTP/1.1 ") != 1) {
			t.Errorf("%q: answer %q", raw, r.wire)
		}
	}
	get := func(fields string, status int, reason Reason) {
		t.Helper()
		refused("GET / HTTP/1.1\r\n"+fields+"\r\n", status, reason)
	}
	post := func(fields, body string, reason Reason) {
		t.Helper()
		refused("POST / HTTP/1.1\r\n"+host+fields+"\r\n"+body, 400, reason)
	}

	// RFC 9112, Section 6.3: framing.
	post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n", ReasonContentLengthAndTE)
	post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n", ReasonContentLengthAndTE)
	post("Transfer-Encoding: identity\r\nContent-Length: 5\r\n", "hello", ReasonContentLengthAndTE)
	post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n", ReasonBadTE)
	post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n", ReasonBadTE)
	post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n", ReasonBadTE)
	post("Transfer-Encoding: chunked;q=1\r\n", "0\r\n\r\n", ReasonBadTE)
	post("Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n", ReasonBadTE)
	post("Transfer-Encoding: ,chunked\r\n", "0\r\n\r\n", ReasonBadTE)
	post("Transfer-Encoding:\r\n", "", ReasonBadTE)
	post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n", ReasonDupTE)
	post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n", ReasonDupTE)
	post("Transfer-Encoding: \vchunked\r\n", "0\r\n\r\n", ReasonBadFieldValue)
	post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n", ReasonSpaceBeforeColon)
	post("Transfer-Encoding\t: chunked\r\n", "0\r\n\r\n", ReasonSpaceBeforeColon)
	post("Transfer Encoding: chunked\r\n", "0\r\n\r\n", ReasonBadFieldName)
	post("Transfer-Encoding\x00: chunked\r\n", "0\r\n\r\n", ReasonBadFieldName)
	post("X: y\r\n Transfer-Encoding: chunked\r\n", "0\r\n\r\n", ReasonObsFold)
	refused("POST / HTTP/1.0\r\n"+host+"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, ReasonTEOnHTTP10)
	post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello", ReasonDupContentLength)
	post("Content-Length: 5\r\nContent-Length: 0\r\n", "hello", ReasonDupContentLength)
	post("Content-Length: 5, 5\r\n", "hello", ReasonBadContentLength)
	post("Content-Length: +5\r\n", "hello", ReasonBadContentLength)
	post("Content-Length: -5\r\n", "hello", ReasonBadContentLength)
	post("Content-Length: 0x5\r\n", "hello", ReasonBadContentLength)
	post("Content-Length: 5 5\r\n", "hello", ReasonBadContentLength)
	post("Content-Length: 5.0\r\n", "hello", ReasonBadContentLength)
	post("Content-Length: 1_0\r\n", "hello", ReasonBadContentLength)
	post("Content-Length:\r\n", "hello", ReasonBadContentLength)
	post("Content-Length: \"5\"\r\n", "hello", ReasonBadContentLength)
	post("Content-Length: \xd9\xa5\r\n", "hello", ReasonBadContentLength)
	post("Content-Length: 18446744073709551621\r\n", "hello", ReasonBadContentLength)
	post("Content-Length: 9223372036854775808\r\n", "hello", ReasonBadContentLength)
	get(host+"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400, ReasonContentLengthAndTE)

	// RFC 9112, Sections 2.2 and 5: lines and fields.
	get(host+" folded\r\n", 400, ReasonObsFold)
	get(host+"\tfolded\r\n", 400, ReasonObsFold)
	refused("GET / HTTP/1.1\r\n Host: a.example\r\n\r\n", 400, ReasonObsFold)
	refused("GET / HTTP/1.1\nHost: a.example\n\n", 400, ReasonBareLF)
	refused("GET / HTTP/1.1\r\nHost: a.example\nX: y\r\n\r\n", 400, ReasonBareLF)
	refused("GET / HTTP/1.1\r\nHost: a.example\r\n\n", 400, ReasonBareLF)
	refused("\nGET / HTTP/1.1\r\n"+host+"\r\n", 400, ReasonBareLF)
	get(host+"X: a\rb\r\n", 400, ReasonBareCR)
	get(host+"X: a\r\r\n", 400, ReasonBareCR)
	get(host+"\rX: a\r\n", 400, ReasonBadFieldName)
	get(host+"\r\r\n", 400, ReasonBareCR)
	refused("GET /\r HTTP/1.1\r\n"+host+"\r\n", 400, ReasonBareCR)
	refused("GET / HTTP/1.1\r\r\n"+host+"\r\n", 400, ReasonBareCR)
	get(host+"X: a\x00b\r\n", 400, ReasonBadFieldValue)
	get(host+"X: a\x7f\r\n", 400, ReasonBadFieldValue)
	get(host+"X: \x1b[31m\r\n", 400, ReasonBadFieldValue)
	get(host+": no name\r\n", 400, ReasonBadFieldName)
	get(host+"no colon\r\n", 400, ReasonBadFieldName)
	get(host+"X\"Y: quoted\r\n", 400, ReasonBadFieldName)
	get(host+"X\xc3\xa4: latin\r\n", 400, ReasonBadFieldName)
	get(host+"X : y\r\n", 400, ReasonSpaceBeforeColon)
	get("Host : a.example\r\n", 400, ReasonSpaceBeforeColon)
	get(host+"Connection: close, (\r\n", 400, ReasonBadConnection)

	// RFC 9112, Section 3: the request line.
	refused("GET  / HTTP/1.1\r\n"+host+"\r\n", 400, ReasonBadRequestLine)
	refused("GET /  HTTP/1.1\r\n"+host+"\r\n", 400, ReasonBadRequestLine)
	refused("GET / a HTTP/1.1\r\n"+host+"\r\n", 400, ReasonBadRequestLine)
	refused(" GET / HTTP/1.1\r\n"+host+"\r\n", 400, ReasonBadMethod)
	refused("GET\t/\tHTTP/1.1\r\n"+host+"\r\n", 400, ReasonBadMethod)
	refused("G(T / HTTP/1.1\r\n"+host+"\r\n", 400, ReasonBadMethod)
	refused("G\x00T / HTTP/1.1\r\n"+host+"\r\n", 400, ReasonBadMethod)
	refused(strings.Repeat("G", 33)+" / HTTP/1.1\r\n"+host+"\r\n", 400, ReasonBadMethod)
	refused("GET\r\n", 400, ReasonBadRequestLine)
	refused("\r\n\r\nGET / HTTP/1.1\r\n"+host+"\r\n", 400, ReasonBadMethod)
	refused("GET /\r\n", 400, ReasonHTTP09)
	refused("GET / HTTP/1.1 \r\n"+host+"\r\n", 400, ReasonBadRequestLine)
	refused("GET / http/1.1\r\n"+host+"\r\n", 400, ReasonBadVersion)
	refused("GET / HTTP/11\r\n"+host+"\r\n", 400, ReasonBadVersion)
	refused("GET / HTTP/1.10\r\n"+host+"\r\n", 400, ReasonBadVersion)
	refused("GET / HTTPS/1.1\r\n"+host+"\r\n", 400, ReasonBadVersion)
	refused("GET / HTTP/1.2\r\n"+host+"\r\n", 505, ReasonUnsupported)
	refused("GET / HTTP/2.0\r\n"+host+"\r\n", 505, ReasonUnsupported)
	refused("GET / HTTP/0.9\r\n"+host+"\r\n", 505, ReasonUnsupported)
	refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, ReasonH2Preface)
	refused("\x16\x03\x01\x02\x00\x01\x00", 400, ReasonTLSOnPlain)

	// RFC 9112, Section 3.2: the target.
	target := func(method, target string, reason Reason) {
		t.Helper()
		refused(method+" "+target+" HTTP/1.1\r\n"+host+"\r\n", 400, reason)
	}
	target("GET", "index.html", ReasonBadTarget)
	target("GET", "*", ReasonBadTarget)
	target("GET", "?q", ReasonBadTarget)
	target("GET", "/a#b", ReasonBadTarget)
	target("GET", "/\x00", ReasonBadTarget)
	target("GET", "/\x7f", ReasonBadTarget)
	target("GET", "/\xe3\x81\x82", ReasonBadTarget)
	target("GET", "/%", ReasonBadTarget)
	target("GET", "/%2", ReasonBadTarget)
	target("GET", "/%zz", ReasonBadTarget)
	target("GET", "ftp://a.example/", ReasonBadTarget)
	target("GET", "a.example:443", ReasonBadTarget)
	target("GET", "https://a.example/", ReasonSchemeMismatch)
	target("GET", "http:///", ReasonBadHost)
	target("GET", "http://user@a.example/", ReasonBadHost)
	target("GET", "http://b.example/", ReasonHostMismatch)
	target("GET", "http://a.example:80/", ReasonHostMismatch)
	target("GET", "http://a.example\\@b.example/", ReasonBadHost)
	target("CONNECT", "a.example:443", ReasonConnectTarget)
	target("CONNECT", "http://a.example/", ReasonConnectTarget)

	// RFC 9112, Section 3.2: Host.
	get("", 400, ReasonMissingHost)
	get("X: y\r\n", 400, ReasonMissingHost)
	refused("GET http://a.example/ HTTP/1.1\r\n\r\n", 400, ReasonMissingHost)
	refused("GET / HTTP/1.0\r\n\r\n", 400, ReasonMissingHost)
	get(host+host, 400, ReasonDupHost)
	get(host+"Host: b.example\r\n", 400, ReasonDupHost)
	get("Host:\r\n", 400, ReasonBadHost)
	get("Host: a.example b.example\r\n", 400, ReasonBadHost)
	get("Host: a.example, b.example\r\n", 400, ReasonBadHost)
	get("Host: user@a.example\r\n", 400, ReasonBadHost)
	get("Host: a.example/\r\n", 400, ReasonBadHost)
	get("Host: a.example:\r\n", 400, ReasonBadHost)
	get("Host: a.example:0\r\n", 400, ReasonBadHost)
	get("Host: a.example:65536\r\n", 400, ReasonBadHost)
	get("Host: a.example:80:80\r\n", 400, ReasonBadHost)
	get("Host: a.example:http\r\n", 400, ReasonBadHost)
	get("Host: a..example\r\n", 400, ReasonBadHost)
	get("Host: .a.example\r\n", 400, ReasonBadHost)
	get("Host: a%2eexample\r\n", 400, ReasonBadHost)
	get("Host: [::1\r\n", 400, ReasonBadHost)
	get("Host: [::1]x\r\n", 400, ReasonBadHost)
	get("Host: [::1%25eth0]\r\n", 400, ReasonBadHost)
	get("Host: [127.0.0.1]\r\n", 400, ReasonBadHost)
	get("Host: "+strings.Repeat("a", 255)+"\r\n", 400, ReasonBadHost)

	// RFC 9110, Section 10.1.1.
	get(host+"Expect: 200-ok\r\n", 417, ReasonBadExpect)
	get(host+"Expect: 100-continue\r\nExpect: 100-continue\r\n", 417, ReasonBadExpect)

	// CloudFront: Quotas.
	refused("GET /"+strings.Repeat("a", 8192)+" HTTP/1.1\r\n"+host+"\r\n", 414, ReasonURLTooLong)
	refused("GET /"+strings.Repeat("a", 40000), 414, ReasonURLTooLong)
	get(host+"X: "+strings.Repeat("a", 32768)+"\r\n", 494, ReasonHeadTooLarge)
	get(host+strings.Repeat("X: y\r\n", 256), 494, ReasonTooManyFields)
	refused("POST / HTTP/1.1\r\n"+host+"Content-Length: 68719476737\r\n\r\n", 413, ReasonBodyTooLarge)
}

// TestRefusedUnanswered covers what is only recorded.
func TestRefusedUnanswered(t *testing.T) {
	silent := func(raw string, reason Reason) {
		t.Helper()
		r := converse(t, raw, Limits{})
		if r.wire != "" || len(r.rejections) != 1 || r.rejections[0].Reason != reason || r.rejections[0].Status != 0 {
			t.Errorf("%q: answer %q, rejections %+v; want none and %s", raw, r.wire, r.rejections, reason)
		}
	}
	silent("", ReasonSilent)
	silent("GET", ReasonTruncatedHead)
	silent("GET / HTTP/1.1\r\nHost: a.example\r\n", ReasonTruncatedHead)
}

// TestBadBodies covers what can be found out only while the handler reads. It gets
// the reason and the status to answer; the connection ends in any case.
func TestBadBodies(t *testing.T) {
	body := func(fields, body string, want Reason) {
		t.Helper()
		r := converse(t, "POST / HTTP/1.1\r\nHost: a.example\r\n"+fields+"\r\n"+body, Limits{BodyBytes: 1000})
		if len(r.seen) != 1 || !strings.HasSuffix(r.seen[0], " error="+string(want)) {
			t.Errorf("%q: handler saw %q, want the error %s", body, r.seen, want)
		}
		if !strings.Contains(r.wire, "\r\nConnection: close\r\n") || strings.Count(r.wire, "HTTP/1.1 ") != 1 {
			t.Errorf("%q: answer %q", body, r.wire)
		}
	}
	const te = "Transfer-Encoding: chunked\r\n"
	const next = "GET /smuggled HTTP/1.1\r\nHost: evil.example\r\n\r\n"
	body("Content-Length: 9\r\n", "short", ReasonViewerGone)
	body(te, "5\r\nhel", ReasonViewerGone)
	body(te, "5\r\nhello\r\n", ReasonViewerGone)
	body(te, "5\r\nhello\r\n0\r\n", ReasonViewerGone)
	// RFC 9112, Section 7.1.
	body(te, "\r\n"+next, ReasonBadChunk)
	body(te, "x\r\n"+next, ReasonBadChunk)
	body(te, "0x5\r\nhello\r\n0\r\n\r\n"+next, ReasonBadChunk)
	body(te, "+5\r\nhello\r\n0\r\n\r\n"+next, ReasonBadChunk)
	body(te, "-5\r\nhello\r\n0\r\n\r\n"+next, ReasonBadChunk)
	body(te, " 5\r\nhello\r\n0\r\n\r\n"+next, ReasonBadChunk)
	body(te, "5 \r\nhello\r\n0\r\n\r\n"+next, ReasonBadChunk)
	body(te, "5 ;x\r\nhello\r\n0\r\n\r\n"+next, ReasonBadChunk)
	body(te, "5\nhello\r\n0\r\n\r\n"+next, ReasonBadChunk)
	body(te, "5\r\r\nhello\r\n0\r\n\r\n"+next, ReasonBadChunk)
	body(te, "5;\x00\r\nhello\r\n0\r\n\r\n"+next, ReasonBadChunk)
	body(te, "5;a\nb\r\nhello\r\n0\r\n\r\n"+next, ReasonBadChunk)
	body(te, "5;a\rb\r\nhello\r\n0\r\n\r\n"+next, ReasonBadChunk)
	body(te, "5\r\nhelloX\r\n0\r\n\r\n"+next, ReasonBadChunk)
	body(te, "5\r\nhello\n0\r\n\r\n"+next, ReasonBadChunk)
	body(te, "5\r\nhello0\r\n\r\n"+next, ReasonBadChunk)
	body(te, "10000000000000005\r\nhello\r\n0\r\n\r\n"+next, ReasonBadChunk)
	body(te, "ffffffffffffffff\r\nhello\r\n0\r\n\r\n"+next, ReasonBadChunk)
	body(te, "5;"+strings.Repeat("x", 300)+"\r\nhello\r\n0\r\n\r\n"+next, ReasonBadChunk)
	body(te, strings.Repeat("1;"+strings.Repeat("x", 200)+"\r\nh\r\n", 50)+"0\r\n\r\n"+next, ReasonBadChunk)
	body(te, "fffffffffffffff\r\nhello\r\n0\r\n\r\n"+next, ReasonBodyTooLarge)
	body(te, strings.Repeat("64\r\n"+strings.Repeat("x", 100)+"\r\n", 11)+"0\r\n\r\n", ReasonBodyTooLarge)
	// RFC 9112, Section 7.1.2.
	body(te, "0\r\nno colon\r\n\r\n"+next, ReasonBadTrailer)
	body(te, "0\r\nA : b\r\n\r\n"+next, ReasonBadTrailer)
	body(te, "0\r\nA: b\n\r\n"+next, ReasonBadTrailer)
	body(te, "0\r\nA: b\r\n c\r\n\r\n"+next, ReasonBadTrailer)
	body(te, "0\r\nA: \x00\r\n\r\n"+next, ReasonBadTrailer)
	body(te, "0\r\n"+strings.Repeat("A: b\r\n", 300)+"\r\n"+next, ReasonBadTrailer)
	body(te, "0\r\nA: "+strings.Repeat("b", 5000)+"\r\n\r\n"+next, ReasonBadTrailer)
}

// TestAccepted is the other side: unusual, but allowed and clear.
func TestAccepted(t *testing.T) {
	accepted := func(raw string, want ...string) {
		t.Helper()
		r := converse(t, raw, Limits{})
		if strings.Join(r.seen, "\n") != strings.Join(want, "\n") {
			t.Errorf("%q:\n got %q\nwant %q\nrejections %+v", raw, r.seen, want, r.rejections)
		}
		if n := strings.Count(r.wire, "HTTP/1.1 200 OK\r\n"); n != len(want) {
			t.Errorf("%q: %d answers 200 in %q", raw, n, r.wire)
		}
	}
	const host = "Host: a.example\r\n"
	const get = "GET / HTTP/1.1\r\n" + host + "\r\n"
	accepted(get, "GET a.example /")
	accepted("\r\n"+get, "GET a.example /") // RFC 9112, Section 2.2
	accepted(get+get+get, "GET a.example /", "GET a.example /", "GET a.example /")
	accepted("GET / HTTP/1.1\r\nhOST:\t A.Example:8443 \t\r\n\r\n", "GET a.example:8443 /")
	accepted("GET / HTTP/1.1\r\nHost: [2001:DB8::1]:443\r\n\r\n", "GET [2001:db8::1]:443 /")
	accepted("GET / HTTP/1.1\r\nHost: 192.0.2.1\r\n\r\n", "GET 192.0.2.1 /")
	accepted("GET http://A.example/x?y HTTP/1.1\r\n"+host+"\r\n", "GET a.example /x?y")
	accepted("GET HTTP://a.example?y HTTP/1.1\r\n"+host+"\r\n", "GET a.example /?y")
	accepted("GET http://a.example HTTP/1.0\r\n\r\n", "GET a.example /")
	accepted("OPTIONS * HTTP/1.1\r\n"+host+"\r\n", "OPTIONS a.example *")
	accepted("OPTIONS http://a.example HTTP/1.1\r\n"+host+"\r\n", "OPTIONS a.example *")
	accepted("TRACE / HTTP/1.1\r\n"+host+"\r\n", "TRACE a.example /")
	accepted("CONNECT / HTTP/1.1\r\n"+host+"\r\n", "CONNECT a.example /")
	accepted("get / HTTP/1.1\r\n"+host+"\r\n", "get a.example /")
	accepted("GET //x//?a=100%&b={|}^` HTTP/1.1\r\n"+host+"\r\n", "GET a.example //x//?a=100%&b={|}^`")
	accepted("GET /a%2Fb? HTTP/1.1\r\n"+host+"\r\n", "GET a.example /a%2Fb?")
	accepted("GET / HTTP/1.1\r\n"+host+"Content-Length: 0\r\n\r\n"+get, "GET a.example /", "GET a.example /")
	accepted("GET / HTTP/1.1\r\n"+host+"Content-Length: 2\r\n\r\nhi"+get, `GET a.example / body="hi"`, "GET a.example /")
	accepted("POST / HTTP/1.1\r\n"+host+"Content-Length: 0005\r\n\r\nhello"+get, `POST a.example / body="hello"`, "GET a.example /")
	accepted("POST / HTTP/1.1\r\n"+host+"Transfer-Encoding: Chunked\r\n\r\n005;a=b\r\nhello\r\nA\r\n0123456789\r\n0;x\r\nT: x\r\n\r\n"+get,
		`POST a.example / body="hello0123456789"`, "GET a.example /")
	accepted("POST / HTTP/1.0\r\n"+host+"Connection: keep-alive\r\nContent-Length: 1\r\n\r\nx"+get, `POST a.example / body="x"`, "GET a.example /")
	accepted("GET / HTTP/1.0\r\n"+host+"\r\n"+get, "GET a.example /")
	accepted("GET / HTTP/1.1\r\n"+host+"Connection: Close\r\n\r\n"+get, "GET a.example /")
	accepted("GET / HTTP/1.0\r\n"+host+"Expect: nonsense\r\n\r\n", "GET a.example /")
	accepted("GET /"+strings.Repeat("a", 8191)+" HTTP/1.1\r\n"+host+"\r\n", "GET a.example /"+strings.Repeat("a", 8191))
	accepted(get+"GET /2 HTTP/1.1\r\n"+host+"X: "+strings.Repeat("a", 10000)+"\r\n\r\n"+get, "GET a.example /", "GET a.example /2", "GET a.example /")
	accepted("GET / HTTP/1.1\r\n"+host+"X: "+strings.Repeat("a", 32700)+"\r\n\r\n", "GET a.example /")
}

// TestHeaderAsSeen proves what the Handler gets of the fields.
func TestHeaderAsSeen(t *testing.T) {
	client, server := testnet.Pipe()
	var got *Request
	e := &Engine{Handler: handlerFunc(func(_ context.Context, r *Request, w Responder) {
		got = r
		w.Respond(&Response{Status: 204})
	})}
	go e.ServeH1(t.Context(), server, &Conn{})
	head := "GET /p HTTP/1.1\r\nUser-AGENT: x  y \r\nHost: h\r\nB: 2\r\nKeep-Alive: 5\r\nA: 1\r\nB: 3\r\n" +
		"Connection: keep-alive, x-hop\r\nX-Hop: gone\r\nUpgrade: h2c\r\nProxy-Connection: x\r\nEmpty:\r\nContent-Length: 0\r\n\r\n"
	io.WriteString(client, head)
	client.CloseWrite()
	io.ReadAll(client)
	var lines []string
	for _, f := range got.Header {
		lines = append(lines, f.Name+"="+f.Value)
	}
	// RFC 9110, Section 7.6.1: nominated fields are for this hop.
	want := "user-agent=x  y;b=2;a=1;b=3;empty=;content-length=0"
	if s := strings.Join(lines, ";"); s != want {
		t.Errorf("fields\n got %s\nwant %s", s, want)
	}
	if got.HeadBytes != int64(len(head)) || !got.First || got.Body != nil || got.ContentLength != 0 || got.Scheme != "http" || got.Proto != HTTP11 {
		t.Errorf("request %+v", got)
	}
}

func TestReasonsComplete(t *testing.T) {
	seen := map[Reason]bool{}
	for _, i := range Reasons() {
		if seen[i.Reason] || i.Doc == "" || !strings.HasSuffix(i.Doc, ".") || i.Reason.Doc() != i.Doc {
			t.Errorf("row %+v: repeated or without a sentence", i)
		}
		seen[i.Reason] = true
		if s := i.Reason.status(); s != 0 && statusText(s) == "" {
			t.Errorf("%s: status %d has no phrase", i.Reason, s)
		}
	}
	if Reason("x").Doc() != "" || statusText(494) == http.StatusText(494) {
		t.Error("unknown reason documented, or 494 without a phrase")
	}
}

// TestChunkedByteByByte feeds a request one byte at a time.
func TestChunkedByteByByte(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := testnet.Pipe()
		var body string
		e := &Engine{Handler: handlerFunc(func(_ context.Context, r *Request, w Responder) {
			b, _ := io.ReadAll(r.Body)
			body = string(b)
			w.Respond(&Response{Status: 204})
		})}
		go e.ServeH1(t.Context(), server, &Conn{})
		for _, b := range []byte("PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;e\r\nde\r\n0\r\nT: t\r\n\r\n") {
			client.Write([]byte{b})
			synctest.Wait()
		}
		client.CloseWrite()
		io.ReadAll(client)
		if body != "abcde" {
			t.Errorf("body %q", body)
		}
	})
}
