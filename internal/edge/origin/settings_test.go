package origin

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pqfront/internal/sigv4"
)

func textLogger(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for _, p := range pairs {
			if n, v, _ := strings.Cut(p, "="); n == name {
				return v
			}
		}
		return ""
	}
}

func TestEnvCredentials(t *testing.T) {
	home := t.TempDir()
	file := filepath.Join(home, ".aws", "credentials")
	if err := os.Mkdir(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want := func(getenv func(string) string, c sigv4.Credentials, errHas string) {
		t.Helper()
		got, err := EnvCredentials(getenv, home)(t.Context())
		if got != c {
			t.Errorf("got %+v, want %+v", got, c)
		}
		if errHas == "" && err != nil || errHas != "" && (err == nil || !strings.Contains(err.Error(), errHas)) {
			t.Errorf("got error %v, want %q", err, errHas)
		}
	}
	none := sigv4.Credentials{}
	want(env(), none, "no file "+file)
	write("# mine\n[default]\naws_access_key_id = A\naws_secret_access_key=S=1\n\n[ other ]\naws_access_key_id=B\nAWS_SECRET_ACCESS_KEY=T\naws_session_token = U\n[half]\naws_access_key_id=C\n")
	want(env(), sigv4.Credentials{AccessKeyID: "A", SecretAccessKey: "S=1"}, "")
	want(env("AWS_PROFILE=other"), sigv4.Credentials{AccessKeyID: "B", SecretAccessKey: "T", SessionToken: "U"}, "")
	want(env("AWS_PROFILE=half"), none, "[half] needs")
	want(env("AWS_PROFILE=absent"), none, "no profile [absent]")
	want(env("AWS_SHARED_CREDENTIALS_FILE=/nonexistent/x"), none, "/nonexistent/x")
	want(env("AWS_ACCESS_KEY_ID=X", "AWS_SECRET_ACCESS_KEY=Y", "AWS_SESSION_TOKEN=Z"), sigv4.Credentials{AccessKeyID: "X", SecretAccessKey: "Y", SessionToken: "Z"}, "")
	want(env("AWS_ACCESS_KEY_ID=X"), sigv4.Credentials{AccessKeyID: "X"}, "must be set together")
	if _, err := EnvCredentials(env(), t.TempDir())(t.Context()); !errors.Is(err, errNoCredentials) {
		t.Errorf("got %v", err)
	}

	// A rotated key is seen without a restart.
	provider := EnvCredentials(env(), home)
	provider(t.Context())
	write("[default]\naws_access_key_id=NEW\naws_secret_access_key=S\n")
	later := time.Now().Add(time.Minute)
	if err := os.Chtimes(file, later, later); err != nil {
		t.Fatal(err)
	}
	if c, err := provider(t.Context()); err != nil || c.AccessKeyID != "NEW" {
		t.Errorf("got %+v, %v", c, err)
	}
	write(strings.Repeat("#", maxCredentialsFile+1))
	want(env(), none, "larger than 1 MiB")
}

func FuzzProfile(f *testing.F) {
	f.Add("[default]\naws_access_key_id=A\naws_secret_access_key=B", "default")
	f.Add("[\n=\n;x\n[a]]", "a")
	f.Fuzz(func(t *testing.T, text, name string) {
		c, err := profile(text, name)
		if err == nil && (c.AccessKeyID == "" || c.SecretAccessKey == "") {
			t.Errorf("incomplete credentials %+v without an error", c)
		}
	})
}

func TestParseEndpoint(t *testing.T) {
	good := func(in, name, u string) {
		t.Helper()
		n, got, err := ParseEndpoint(in)
		if err != nil || n != name || got.String() != u {
			t.Errorf("%s: %s %v, %v", in, n, got, err)
		}
	}
	bad := func(in, has string) {
		t.Helper()
		if _, _, err := ParseEndpoint(in); err == nil || !strings.Contains(err.Error(), has) {
			t.Errorf("%s: %v", in, err)
		}
	}
	good("s3=http://127.0.0.1:7070", "s3", "http://127.0.0.1:7070")
	good("S3=https://s3.local/", "s3", "https://s3.local")
	good("b.s3.amazonaws.com=http://[::1]:7070", "b.s3.amazonaws.com", "http://[::1]:7070")
	bad("http://127.0.0.1:7070", "want s3=")
	bad("", "want s3=")
	bad("=http://h", "want s3=")
	bad("s3=", "only scheme")
	bad("s3=ftp://h", "only scheme")
	bad("s3=http://h/path", "only scheme")
	bad("s3=http://u:p@h", "only scheme")
	bad("s3=http://h?x", "only scheme")
	bad("s3=http://h:0", "not 1 to 65535")
	bad("s3=http://h:70000", "not 1 to 65535")
	bad("s3=http://[", "want s3=")
}

func TestParseResolve(t *testing.T) {
	good := func(in, host, address string) {
		t.Helper()
		h, a, err := ParseResolve(in)
		if err != nil || h != host || a != address {
			t.Errorf("%s: %s %s, %v", in, h, a, err)
		}
	}
	bad := func(in string) {
		t.Helper()
		if _, _, err := ParseResolve(in); err == nil || !strings.Contains(err.Error(), "want HOST") {
			t.Errorf("%s: %v", in, err)
		}
	}
	good("WWW.example.org=127.0.0.1:8081", "www.example.org", "127.0.0.1:8081")
	good("a:443=[::1]:8443", "a:443", "[::1]:8443")
	for _, in := range []string{"", "a", "=1.2.3.4:1", "a=1.2.3.4", "a=host:1", "a=1.2.3.4:0", "a:0=1.2.3.4:1", ":1=1.2.3.4:1"} {
		bad(in)
	}
}

// FuzzFieldOrder: whatever an origin sends, the order is found without harm, and every
// field net/http knows appears exactly as often as it has values.
func FuzzFieldOrder(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nB: 1\r\nA: 2\r\nb: 3\r\n folded\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 1\n\n\n:\n\r\n"))
	f.Fuzz(func(t *testing.T, head []byte) {
		h := map[string][]string{"A": {"1", "2"}, "B": {"3"}, "Content-Type": {"x"}}
		out := ordered(h, fieldOrder(head))
		if len(out) != 4 || out.Count("a") != 2 || out.Count("b") != 1 || out.Get("a") != "1" || out.Get("content-type") != "x" {
			t.Errorf("%q gives %v", head, out)
		}
	})
}

// FuzzResponse: whatever an origin sends, what comes of it is an *Error or a response
// that may be handed to a viewer.
func FuzzResponse(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nA: b\r\n\r\nok"), false)
	f.Add([]byte("HTTP/1.1 100 x\r\n\r\nHTTP/1.0 404 \nTransfer-Encoding: chunked\n\n1\r\na\r\n0\r\nT: x\r\n\r\n"), false)
	f.Add([]byte("HTTP/1.1 206 P\r\nContent-Range: bytes 0-1/2\r\nContent-Length: 2\r\n\r\nok"), true)
	f.Add([]byte("HTTP/1.1 204 N\r\nConnection: close, x-a\r\nX-A: 1\r\n\r\n"), false)
	f.Add([]byte("HTTP/1.1 "+strings.Repeat("2", 5000)), false)
	f.Fuzz(func(t *testing.T, sent []byte, head bool) {
		client, server := net.Pipe()
		go func() {
			server.Write(sent)
			server.Close()
		}()
		defer client.Close()
		c := newConn(client, nil, "o")
		c.begin(3*time.Second, false)
		p := &pool{slots: make(chan struct{}, 1)}
		p.slots <- struct{}{}
		x := &exchange{plan: &plan{name: "o"}, parent: t.Context(), ctx: t.Context(), pool: p, conn: c, unwatch: func() bool { return false }}
		method := "GET"
		if head {
			method = "HEAD"
		}
		var res *Response
		answer, first, err := c.readHead()
		if err != nil {
			err = x.failure(err)
		} else {
			res, err = x.response(answer, method, first.Sub(first))
		}
		if err == nil {
			for _, h := range res.Header {
				if !token(h.Name) || h.Name != strings.ToLower(h.Name) || strings.ContainsAny(h.Value, "\r\n\x00") || h.Name == "connection" || h.Name == "transfer-encoding" {
					t.Errorf("field %q: %q", h.Name, h.Value)
				}
			}
			if res.Status < 200 || res.Status > 599 || res.Length < -1 {
				t.Errorf("status %d, length %d", res.Status, res.Length)
			}
			var n int64
			n, err = io.Copy(io.Discard, res.Body)
			if err == nil && res.Length >= 0 && method == "GET" && res.Status != 304 && n != res.Length {
				t.Errorf("%d bytes of %d without an error", n, res.Length)
			}
		}
		if err != nil {
			if e, ok := errors.AsType[*Error](err); !ok || e.Status != 502 {
				t.Errorf("error of type %T: %v", err, err)
			}
		}
	})
}

func TestFieldOrder(t *testing.T) {
	f := func(head, want string) {
		t.Helper()
		if got := strings.Join(fieldOrder([]byte(head)), " "); got != want {
			t.Errorf("%q: %s, want %s", head, got, want)
		}
	}
	f("HTTP/1.1 200 OK\r\nB: 1\r\nA: 2\r\nb: 3\r\n\r\n", "b a b")
	f("HTTP/1.1 200 OK\nB: 1\nA: 2\n\n", "b a")
	f("HTTP/1.1 200 OK\r\nA: 1\r\n B: folded\r\nC: 2\r\n\r\n", "a c")
	f("", "")
}
