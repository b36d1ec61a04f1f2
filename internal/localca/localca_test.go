package localca

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var day0 = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func open(t *testing.T, dir string, now time.Time) *CA {
	t.Helper()
	ca, err := Open(dir, now)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func TestLeafVerifiesAndIsKept(t *testing.T) {
	dir := t.TempDir()
	ca := open(t, dir, day0)
	pool := x509.NewCertPool()
	pool.AddCert(ca.Root())
	for _, kind := range []KeyKind{RSA2048, P256} {
		chain, key, err := ca.Leaf(kind, []string{"b.example.org", "*.example.org", "b.example.org"}, day0)
		if err != nil {
			t.Fatal(err)
		}
		pair, err := tls.X509KeyPair(chain, key)
		if err != nil {
			t.Fatal(err)
		}
		if len(pair.Certificate) != 2 {
			t.Fatalf("%s: chain of %d certificates, want leaf and intermediate", kind, len(pair.Certificate))
		}
		inter, _ := x509.ParseCertificate(pair.Certificate[1])
		inters := x509.NewCertPool()
		inters.AddCert(inter)
		for _, name := range []string{"b.example.org", "other.example.org"} {
			if _, err := pair.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: pool, Intermediates: inters, CurrentTime: day0}); err != nil {
				t.Errorf("%s %s: %v", kind, name, err)
			}
		}
		// The same names in another order, after a restart: the same certificate.
		again, _, err := open(t, dir, day0).Leaf(kind, []string{"*.example.org", "b.example.org"}, day0.Add(24*time.Hour))
		if err != nil || !bytes.Equal(again, chain) {
			t.Errorf("%s: was issued anew (err %v)", kind, err)
		}
		// Near its end: another one.
		late, _, err := ca.Leaf(kind, []string{"*.example.org", "b.example.org"}, day0.Add(leafLife-renewAt+time.Hour))
		if err != nil || bytes.Equal(late, chain) {
			t.Errorf("%s: was not renewed (err %v)", kind, err)
		}
	}
}

func TestKeysArePrivate(t *testing.T) {
	dir := t.TempDir()
	if _, _, err := open(t, dir, day0).Leaf(P256, []string{"a.example.org"}, day0); err != nil {
		t.Fatal(err)
	}
	keys := 0
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		info, _ := d.Info()
		if strings.Contains(string(text), "PRIVATE KEY") {
			keys++
			if info.Mode().Perm() != 0o600 {
				t.Errorf("%s: mode %v, want 0600", p, info.Mode())
			}
		}
		return nil
	})
	if err != nil || keys != 4 { // root, two intermediates, one leaf
		t.Errorf("found %d private keys (err %v), want 4", keys, err)
	}
}

func TestDamageIsNamed(t *testing.T) {
	f := func(damage func(dir string), want string) {
		t.Helper()
		dir := t.TempDir()
		open(t, dir, day0)
		damage(dir)
		_, err := Open(dir, day0)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want it to contain %q", err, want)
		}
	}
	f(func(d string) { os.WriteFile(filepath.Join(d, "ca.pem"), []byte("junk"), 0o644) }, "is not PEM")
	f(func(d string) {
		other := t.TempDir()
		open(t, other, day0)
		text, _ := os.ReadFile(filepath.Join(other, "ca.pem"))
		os.WriteFile(filepath.Join(d, "ca.pem"), text, 0o644)
	}, "does not fit")
	if _, err := Open(func() string { d := t.TempDir(); open(t, d, day0); return d }(), day0.Add(rootLife+time.Hour)); err == nil || !strings.Contains(err.Error(), "move") {
		t.Errorf("an ended root: %v", err)
	}
}
