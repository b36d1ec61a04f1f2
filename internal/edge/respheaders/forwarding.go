package respheaders

import (
	"strings"

	"pqfront/internal/cdn"
)

// Forwarding tells which of a viewer's fields a behavior sends to the origin: the
// cache policy's and the origin request policy's together. The zero value sends none.
type Forwarding struct {
	Cache  *cdn.CachePolicy
	Origin *cdn.OriginRequestPolicy
}

// Cookies reports whether any cookies are forwarded; Set-Cookie is dropped when not
// (CloudFront: Request and response behavior for custom origins, Cookies).
func (f Forwarding) Cookies() bool {
	return f.Cache != nil && selectsAny(f.Cache.Cookies) || f.Origin != nil && selectsAny(f.Origin.Cookies)
}

// Header reports whether the viewer's field called name is forwarded.
func (f Forwarding) Header(name string) bool {
	return f.Cache != nil && selectsHeader(f.Cache.Headers, name) || f.Origin != nil && selectsHeader(f.Origin.Headers, name)
}

// deviceHeaders reports whether one of the fields that CloudFront derives from
// User-Agent is forwarded.
func (f Forwarding) deviceHeaders() bool {
	for _, n := range [...]string{"cloudfront-is-android-viewer", "cloudfront-is-desktop-viewer", "cloudfront-is-ios-viewer",
		"cloudfront-is-mobile-viewer", "cloudfront-is-smarttv-viewer", "cloudfront-is-tablet-viewer"} {
		// allViewer forwards what the viewer sent, not what CloudFront adds.
		if f.Cache != nil && listsHeader(f.Cache.Headers, n) || f.Origin != nil && listsHeader(f.Origin.Headers, n) {
			return true
		}
	}
	return false
}

// filterVary returns the tokens of a Vary field that viewers see: Accept-Encoding,
// Cookie, forwarded fields, and User-Agent when device fields are forwarded
// (CloudFront: Request and response behavior for custom origins, Vary). "*" stays as
// well: without it a browser's cache would reuse what it must not (RFC 9110, Section 12.5.5).
func (f Forwarding) filterVary(value string) string {
	var kept []string
	for t := range strings.SplitSeq(value, ",") {
		t = strings.Trim(t, " \t")
		low := strings.ToLower(t)
		switch {
		case low == "":
		case low == "*", low == "accept-encoding", low == "cookie", f.Header(low),
			low == "user-agent" && f.deviceHeaders():
			kept = append(kept, t)
		}
	}
	return strings.Join(kept, ", ")
}

func selectsAny(s cdn.Selection) bool {
	switch s.Behavior {
	case "all", "allExcept", "allViewer", "allViewerAndWhitelistCloudFront":
		return true
	case "whitelist":
		return len(s.Names) > 0
	}
	return false
}

func selectsHeader(s cdn.Selection, name string) bool {
	switch s.Behavior {
	case "all", "allViewer", "allViewerAndWhitelistCloudFront":
		return true
	case "allExcept":
		return !listed(s.Names, name)
	case "whitelist":
		return listed(s.Names, name)
	}
	return false
}

func listsHeader(s cdn.Selection, name string) bool {
	return (s.Behavior == "whitelist" || s.Behavior == "allViewerAndWhitelistCloudFront") && listed(s.Names, name)
}

func listed(names []string, name string) bool {
	for _, n := range names {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}
