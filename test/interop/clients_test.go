package interop

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/security"
	"github.com/chromedp/chromedp"

	"pqfront/internal/localca"
)

var both = []localca.KeyKind{localca.RSA2048, localca.P256}

// contains checks that a transcript has every one of these.
func contains(t *testing.T, out string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(out, w) {
			t.Errorf("no %q in\n%s", w, out)
		}
	}
}

func TestCurlHTTP3(t *testing.T) {
	e := start(t, "TLSv1.3_2025", both...)
	out, code := e.curl("/index.html", "--http3-only")
	if code != 0 {
		t.Fatalf("curl --http3-only: exit %d\n%s", code, out)
	}
	contains(t, out, "< HTTP/3 200", "< x-cache: Miss from cloudfront", "< content-length: 12")
	out, _ = e.curl("/index.html", "--http3-only")
	contains(t, out, "< x-cache: Hit from cloudfront", "< age: ")
	// curl does not say what it negotiated over QUIC; the log does.
	eventually(t, "the log has the HTTP/3 request and its group", func() bool {
		text, _ := os.ReadFile(filepath.Join(e.dir, "logs", "access.jsonl"))
		return strings.Contains(string(text), `"HTTP/3.0"`) && strings.Contains(string(text), `"X25519MLKEM768"`)
	})
	t.Run("the article's field order over HTTP/3", func(t *testing.T) {
		expect(t, "02-headers", headerFacts(out), out)
	})
}

func TestCurlHTTP11(t *testing.T) {
	e := start(t, "TLSv1.2_2025", both...)
	e.curl("/index.html", "--http1.1")
	out, code := e.curl("/index.html", "--http1.1")
	if code != 0 {
		t.Fatalf("curl --http1.1: exit %d\n%s", code, out)
	}
	contains(t, out, "< HTTP/1.1 200 OK", "< X-Cache: Hit from cloudfront", "< X-Amz-Cf-Pop: NRT12-P9", "< Strict-Transport-Security: max-age=31536000")
	// TLSv1.2_2025 has no ChaCha20, in TLS 1.3 neither.
	out, code = e.curl("/index.html", "--tls13-ciphers", "TLS_CHACHA20_POLY1305_SHA256", "--tlsv1.3")
	if code == 0 {
		t.Errorf("a client with ChaCha20 only got through TLSv1.2_2025:\n%s", out)
	}
	// Listed first it still loses to the server's order.
	out, _ = e.curl("/index.html", "--tls13-ciphers", "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256")
	contains(t, out, "TLSv1.3 / TLS_AES_128_GCM_SHA256 / X25519MLKEM768")
}

func TestCertificatesSideBySide(t *testing.T) {
	e := start(t, "TLSv1.2_2021", both...)
	out, _ := e.sClient()
	contains(t, out, "Peer signature type: ecdsa_secp256r1_sha256", "Verify return code: 0 (ok)")
	out, _ = e.sClient("-sigalgs", "rsa_pss_rsae_sha256")
	contains(t, out, "Peer signature type: rsa_pss_rsae_sha256", "Verify return code: 0 (ok)")
	out, _ = e.sClient("-tls1_2", "-cipher", "ECDHE-RSA-AES256-GCM-SHA384")
	contains(t, out, "Cipher is ECDHE-RSA-AES256-GCM-SHA384", "Verify return code: 0 (ok)")
}

// TestHelloRetryRequest: a client that lists a hybrid group but sends a share of X25519
// only is asked for the hybrid one.
func TestHelloRetryRequest(t *testing.T) {
	e := start(t, "TLSv1.3_2025", both...)
	out, _ := e.sClient("-groups", "*X25519:X25519MLKEM768", "-msg")
	contains(t, out, "Negotiated TLS1.3 group: X25519MLKEM768", "Verify return code: 0 (ok)")
	if n := strings.Count(out, "ServerHello"); n != 2 {
		t.Errorf("%d ServerHello messages, want the HelloRetryRequest and the ServerHello\n%s", n, out)
	}
	out, _ = e.sClient("-groups", "SecP256r1MLKEM768")
	contains(t, out, "Negotiated TLS1.3 group: SecP256r1MLKEM768")
}

func TestResumption(t *testing.T) {
	e := start(t, "TLSv1.3_2025", both...)
	session := filepath.Join(e.dir, "session.pem")
	e.hold("-sess_out", inside(t, session))
	out, _ := e.sClient("-sess_in", inside(t, session))
	contains(t, out, "Reused, TLSv1.3")
	// The same session under a stricter policy: a full handshake, never a short cut.
	e.writeConfig("PQFront_TLSv1.3_PQ_2026")
	eventually(t, "the edge obeys the changed policy", func() bool {
		out, _ := e.sClient("-groups", "X25519")
		return strings.Contains(out, "no peer certificate available")
	})
	out, _ = e.sClient("-sess_in", inside(t, session))
	contains(t, out, "New, TLSv1.3", "Negotiated TLS1.3 group: X25519MLKEM768")
}

func TestGnuTLS(t *testing.T) {
	e := start(t, "TLSv1.2_2021", both...)
	for _, c := range []struct{ priority, version string }{
		{"NORMAL", "(TLS1.3-X.509)"},
		{"NORMAL:-VERS-ALL:+VERS-TLS1.2", "(TLS1.2-X.509)"},
	} {
		out, code := peer(t, "", "gnutls-cli", "--x509cafile", inside(t, filepath.Join(e.dir, "ca.pem")), "--sni-hostname", site,
			"--verify-hostname", site, "--priority", c.priority, "--port", e.port(), "127.0.0.1")
		if code != 0 {
			t.Fatalf("%s: exit %d\n%s", c.priority, code, out)
		}
		contains(t, out, "The certificate is trusted", c.version)
	}
	e.writeConfig("TLSv1.3_2025")
	eventually(t, "GnuTLS is refused below TLS 1.3", func() bool {
		out, code := peer(t, "", "gnutls-cli", "--insecure", "--sni-hostname", site, "--priority", "NORMAL:-VERS-ALL:+VERS-TLS1.2", "--port", e.port(), "127.0.0.1")
		return code != 0 && strings.Contains(out, "protocol version")
	})
}

// TestDebian12: clients of 2022, without post-quantum groups.
func TestDebian12(t *testing.T) {
	e := start(t, "TLSv1.3_2025", both...)
	ca := filepath.Join(e.dir, "ca.pem")
	out, _ := command(t, "", "openssl", "version")
	if !strings.HasPrefix(out, "OpenSSL 3.0") {
		t.Logf("the system's OpenSSL is not Debian 12's: %s", out)
	}
	out, _ = command(t, "", "openssl", "s_client", "-connect", "127.0.0.1:"+e.port(), "-servername", site, "-CAfile", ca)
	contains(t, out, "New, TLSv1.3, Cipher is TLS_AES_128_GCM_SHA256", "Server Temp Key: X25519, 253 bits", "Verify return code: 0 (ok)")
	out, code := command(t, "", "curl", "-sS", "-v", "-o", "/dev/null", "--cacert", ca, "--resolve", site+":"+e.port()+":127.0.0.1", "https://"+site+":"+e.port()+"/index.html")
	if code != 0 {
		t.Errorf("curl 7.88: exit %d\n%s", code, out)
	}
	contains(t, out, "< HTTP/2 200")
	e.writeConfig("PQFront_TLSv1.3_PQ_2026")
	eventually(t, "a client without post-quantum groups is refused", func() bool {
		out, _ := command(t, "", "openssl", "s_client", "-connect", "127.0.0.1:"+e.port(), "-servername", site)
		return strings.Contains(out, "no peer certificate available")
	})
}

// TestChromium loads a page in a real browser and has it say what it negotiated.
func TestChromium(t *testing.T) {
	e := start(t, "TLSv1.3_2025", both...)
	path, err := exec.LookPath("chromium")
	if err != nil {
		missing(t, "chromium", err)
	}
	// Chromium trusts the local CA for this run only, by the leaf keys' digests.
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("no-first-run", true), chromedp.Flag("disable-quic", true),
		chromedp.Flag("host-resolver-rules", "MAP "+site+" 127.0.0.1"),
		chromedp.Flag("ignore-certificate-errors-spki-list", strings.Join(keyDigests(t, e.dir), ",")),
	)
	ctx, stop := context.WithTimeout(t.Context(), 60*time.Second)
	defer stop()
	ctx, stop = chromedp.NewExecAllocator(ctx, opts...)
	defer stop()
	ctx, stop = chromedp.NewContext(ctx)
	defer stop()
	page, err := chromedp.Run(ctx, chromedp.NavigateResponse("https://"+site+":"+e.port()+"/index.html"))
	if err != nil {
		t.Fatalf("%v\n%s", err, e.log)
	}
	text, err := chromedp.Run(ctx, chromedp.Text("body"))
	if err != nil {
		t.Fatal(err)
	}
	details := page.SecurityDetails
	if strings.TrimSpace(text) != strings.TrimSpace(object) || details == nil || page.SecurityState != security.StateSecure {
		t.Fatalf("the page says %q, state %v, security details %+v", text, page.SecurityState, details)
	}
	if details.Protocol != "TLS 1.3" || details.KeyExchangeGroup != "X25519MLKEM768" || details.Cipher != "AES_128_GCM" || page.Protocol != "h2" {
		t.Errorf("Chromium reports %s, %s, %s, %s; want TLS 1.3, X25519MLKEM768, AES_128_GCM, h2", details.Protocol, details.KeyExchangeGroup, details.Cipher, page.Protocol)
	}
}

// keyDigests are the leaf keys as Chromium's flag wants them: SHA-256 of the public key
// in base64.
func keyDigests(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	for _, kind := range both {
		pem, err := os.ReadFile(filepath.Join(dir, "leaf-"+string(kind)+".pem"))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(leafKey(t, pem))
		out = append(out, base64.StdEncoding.EncodeToString(sum[:]))
	}
	return out
}

// TestRefusals: what a viewer gets who may not connect, byte by byte, and what the log says.
func TestRefusals(t *testing.T) {
	e := start(t, "TLSv1.3_2025", both...)
	// CloudFront's alert here has record version 0, at which OpenSSL stops reading.
	out, _ := peer(t, "", "openssl", "s_client", "-connect", "127.0.0.1:"+e.port(), "-noservername")
	contains(t, out, "wrong version number", "no peer certificate available")
	out, _ = peer(t, "", "openssl", "s_client", "-connect", "127.0.0.1:"+e.port(), "-servername", "unknown.example")
	contains(t, out, "wrong version number", "no peer certificate available")
	e.curl("/index.html", "--tls-max", "1.2")
	e.sClient("-groups", "secp521r1")
	reasons := regexp.MustCompile(`"tls-refusal":"([a-z_]+)"`)
	want := []string{"no_sni", "unknown_sni", "version_too_low", "no_common_group"}
	eventually(t, "the log of refusals has "+strings.Join(want, ", "), func() bool {
		text, _ := os.ReadFile(filepath.Join(e.dir, "logs", "refused.jsonl"))
		var got []string
		for _, m := range reasons.FindAllSubmatch(text, -1) {
			got = append(got, string(m[1]))
		}
		return strings.Join(got, " ") == strings.Join(want, " ")
	})
}
