package httpfield

import "testing"

func TestTitle(t *testing.T) {
	title := func(name, want string) {
		t.Helper()
		if got := Title(name); got != want {
			t.Errorf("Title(%q) = %q, want %q", name, got, want)
		}
		if got := string(AppendTitle([]byte("a-b: c"), name)); got != "a-b: c"+want {
			t.Errorf("AppendTitle of %q = %q", name, got)
		}
	}
	title("", "")
	title("age", "Age")
	title("content-type", "Content-Type")
	title("x-amz-cf-pop", "X-Amz-Cf-Pop")
	title("etag", "ETag")
	title("www-authenticate", "WWW-Authenticate")
	title("x-xss-protection", "X-XSS-Protection")
	title("-x--1a-", "-X--1a-")
}
