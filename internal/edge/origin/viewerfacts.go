package origin

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"pqfront/internal/cdn"
	"pqfront/internal/httpfield"
)

// Viewer is what CloudFront-... fields tell an origin about a viewer.
type Viewer struct {
	Address     netip.AddrPort
	HTTPVersion string // 1.0, 1.1, 2.0 or 3.0
	Scheme      string // https or http
	// The three parts of CloudFront-Viewer-TLS; "" over plain HTTP.
	TLSVersion string // TLSv1.3
	Cipher     string // OpenSSL's name
	Handshake  string // fullHandshake, sessionResumed or connectionReused
	JA3, JA4   string // "" over plain HTTP
}

func (v *Viewer) httpVersion() string {
	if v.HTTPVersion == "" {
		return "1.1"
	}
	return v.HTTPVersion
}

// maxHeaderOrder is where CloudFront cuts CloudFront-Viewer-Header-Order.
const maxHeaderOrder = 7680

// Added returns the CloudFront-... fields that the policies ask for, in their order
// without repetition (CloudFront: Add CloudFront request headers). Those that need a
// database of places or networks are absent, as CloudFront leaves them out where it
// does not know.
func (r *Rules) Added(viewer httpfield.Fields) httpfield.Fields {
	var out httpfield.Fields
	add := func(sel *cdn.Selection) {
		if sel.Behavior != "whitelist" && sel.Behavior != "allViewerAndWhitelistCloudFront" {
			return
		}
		for _, name := range sel.Names {
			name = strings.ToLower(name)
			if !strings.HasPrefix(name, "cloudfront-") || out.Has(name) {
				continue
			}
			if v := r.Viewer.field(name, viewer); v != "" {
				out.Add(name, v)
			}
		}
	}
	if r.Cache != nil {
		add(&r.Cache.Headers)
	}
	if r.OriginRequest != nil {
		add(&r.OriginRequest.Headers)
	}
	return out
}

// field computes one field; "" when there is nothing to say.
func (v *Viewer) field(name string, viewer httpfield.Fields) string {
	switch name {
	case "cloudfront-viewer-address":
		if v.Address.IsValid() { // an IPv6 address goes without brackets
			return v.Address.Addr().Unmap().String() + ":" + strconv.Itoa(int(v.Address.Port()))
		}
	case "cloudfront-viewer-http-version":
		return v.HTTPVersion
	case "cloudfront-forwarded-proto":
		return v.Scheme
	case "cloudfront-viewer-tls":
		if v.TLSVersion != "" {
			return v.TLSVersion + ":" + v.Cipher + ":" + v.Handshake
		}
	case "cloudfront-viewer-ja3-fingerprint":
		return v.JA3
	case "cloudfront-viewer-ja4-fingerprint":
		return v.JA4
	case "cloudfront-viewer-header-count":
		return strconv.Itoa(len(viewer) + 1) // and Host
	case "cloudfront-viewer-header-order":
		return headerOrder(viewer)
	}
	if kind, ok := strings.CutPrefix(name, "cloudfront-is-"); ok {
		if kind, ok = strings.CutSuffix(kind, "-viewer"); ok {
			return isViewer(kind, viewer.Get("user-agent"))
		}
	}
	return ""
}

// headerOrder joins the viewer's field names.
//
// Deviation: CloudFront: Add CloudFront request headers: names keep the viewer's
// spelling there; ours are lower-case, and host, whose place is not kept, is first.
func headerOrder(viewer httpfield.Fields) string {
	var b strings.Builder
	b.WriteString("host")
	for i := range viewer {
		b.WriteByte(':')
		b.WriteString(viewer[i].Name)
	}
	s := b.String()
	return s[:min(len(s), maxHeaderOrder)]
}

// device is a kind of viewer and the words of a User-Agent that show it. CloudFront
// does not publish its own rules; these know the current families of devices.
type device struct {
	any []string // one of these
	not []string // and none of these
}

var (
	tvWords     = []string{"smart-tv", "smarttv", "googletv", "appletv", "apple tv", "android tv", "hbbtv", "netcast", "web0s", "webos.tv", "bravia", "roku", "aftb", "aftt", "aftm", "aftn", "afts", "crkey", "tizen"}
	tabletWords = []string{"ipad", "tablet", "kindle", "silk/", "playbook"}
	phoneWords  = []string{"iphone", "ipod", "windows phone", "blackberry", "opera mini", "mobile"}
)

// devices has the kinds in CloudFront-Is-...-Viewer.
var devices = map[string][]device{
	"android": {{any: []string{"android"}}},
	"ios":     {{any: []string{"iphone", "ipad", "ipod"}}},
	"smarttv": {{any: tvWords, not: []string{"mobile"}}},
	"tablet":  {{any: tabletWords}, {any: []string{"android"}, not: append([]string{"mobile"}, tvWords...)}},
	"mobile":  {{any: phoneWords, not: tabletWords}},
}

// isViewer answers "true" or "false", or "" for an unknown kind. A desktop is what is
// none of the others.
func isViewer(kind, userAgent string) string {
	ua := strings.ToLower(userAgent)
	if kind == "desktop" {
		for _, k := range [...]string{"smarttv", "tablet", "mobile"} {
			if isDevice(devices[k], ua) {
				return "false"
			}
		}
		return "true"
	}
	rules, ok := devices[kind]
	if !ok {
		return ""
	}
	return strconv.FormatBool(isDevice(rules, ua))
}

func isDevice(rules []device, ua string) bool {
	has := func(words []string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(ua, w) })
	}
	return slices.ContainsFunc(rules, func(d device) bool { return has(d.any) && !has(d.not) })
}
