package origin

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// ParseEndpoint reads one value of --origin-endpoint, such as
// s3=http://127.0.0.1:7070: "s3" or the domain name of one S3 origin, and the base URL
// of an S3-compatible server.
func ParseEndpoint(s string) (name string, u *url.URL, err error) {
	const form = "want s3=http://HOST:PORT or DOMAIN=https://HOST[:PORT]"
	name, raw, ok := strings.Cut(s, "=")
	if !ok || name == "" {
		return "", nil, fmt.Errorf("origin endpoint %q: %s", s, form)
	}
	u, err = url.Parse(raw)
	if err != nil {
		return "", nil, fmt.Errorf("origin endpoint %q: %w; %s", s, err, form)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil ||
		u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return "", nil, fmt.Errorf("origin endpoint %q: only scheme, host and port may be given; %s", s, form)
	}
	if u.Port() != "" && !validPort(u.Port()) {
		return "", nil, fmt.Errorf("origin endpoint %q: port %q is not 1 to 65535", s, u.Port())
	}
	return strings.ToLower(name), &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

// ParseResolve reads one value of --resolve, such as www.example.org=127.0.0.1:8081 or
// www.example.org:443=[::1]:8443. The address must be numeric: it replaces resolution.
func ParseResolve(s string) (host, address string, err error) {
	const form = "want HOST[:PORT]=ADDRESS:PORT with a numeric address"
	host, address, ok := strings.Cut(s, "=")
	if !ok || host == "" {
		return "", "", fmt.Errorf("resolve %q: %s", s, form)
	}
	a, port, err := net.SplitHostPort(address)
	if err != nil || net.ParseIP(a) == nil || !validPort(port) {
		return "", "", fmt.Errorf("resolve %q: %q is no address with a port; %s", s, address, form)
	}
	if h, p, err := net.SplitHostPort(host); err == nil && (h == "" || !validPort(p)) {
		return "", "", fmt.Errorf("resolve %q: %q is no host with a port; %s", s, host, form)
	}
	return strings.ToLower(host), address, nil
}

func validPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}
