package demo

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"
)

func TestConfigsAreJSON(t *testing.T) {
	refs := map[string]bool{}
	for _, h := range Hosts() {
		text, err := Config(h, 4711)
		if err != nil {
			t.Fatal(err)
		}
		var doc struct {
			DistributionConfig struct {
				CallerReference   string
				ViewerCertificate struct{ MinimumProtocolVersion, ACMCertificateArn string }
			}
		}
		if err := json.Unmarshal(text, &doc); err != nil {
			t.Fatalf("%s: %v", h.Alias, err)
		}
		c := doc.DistributionConfig
		if c.ViewerCertificate.MinimumProtocolVersion != h.Policy {
			t.Errorf("%s: policy %q, want %q", h.Alias, c.ViewerCertificate.MinimumProtocolVersion, h.Policy)
		}
		if refs[c.CallerReference] || refs[c.ViewerCertificate.ACMCertificateArn] {
			t.Errorf("%s: caller reference or certificate is not its own", h.Alias)
		}
		refs[c.CallerReference], refs[c.ViewerCertificate.ACMCertificateArn] = true, true
	}
}

func get(t *testing.T, path string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest("GET", path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	Origin().ServeHTTP(w, r)
	return w.Result()
}

// TestEveryLinkResolves follows what the pages name, so that no page of the demo is broken.
func TestEveryLinkResolves(t *testing.T) {
	link := regexp.MustCompile(`(?:href|src)="([^"]+)"`)
	for _, page := range []string{"/index.html", "/about.html"} {
		body, _ := io.ReadAll(get(t, page).Body)
		found := link.FindAllSubmatch(body, -1)
		if len(found) == 0 {
			t.Errorf("%s names nothing", page)
		}
		for _, m := range found {
			if r := get(t, string(m[1]), "Range", "bytes=0-0"); r.StatusCode != 206 {
				t.Errorf("%s -> %s: %s", page, m[1], r.Status)
			}
		}
	}
}

func TestLargeFile(t *testing.T) {
	r := get(t, "/large.bin", "Range", "bytes=65530-65545")
	part, _ := io.ReadAll(r.Body)
	if r.StatusCode != 206 || len(part) != 16 || r.Header.Get("Content-Range") != "bytes 65530-65545/104857600" {
		t.Fatalf("%s, %d bytes, %q", r.Status, len(part), r.Header.Get("Content-Range"))
	}
	whole := make([]byte, 70000)
	if _, err := io.ReadFull(newPattern(LargeSize), whole); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(part, whole[65530:65546]) {
		t.Error("a range differs from the same bytes of the whole")
	}
}

func TestMissingObject(t *testing.T) {
	for _, p := range []string{"/nothing", "/../config/distribution.json", "/"} {
		if r := get(t, p); r.StatusCode != 404 {
			t.Errorf("%s: %s", p, r.Status)
		}
	}
}
