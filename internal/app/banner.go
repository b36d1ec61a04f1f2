package app

import (
	"fmt"
	"io"
	"net/netip"
	"strings"

	"pqfront/internal/demo"
	"pqfront/internal/edge/snapshot"
)

// Ports are the addresses that the process listens on, as --ports-file has them.
type Ports struct {
	HTTPS   string `json:"https"`
	HTTP    string `json:"http"`
	API     string `json:"api"`
	Console string `json:"console"`
}

// writeBanner says what listens where and what to try first.
func writeBanner(w io.Writer, ports Ports, caFile string, snap *snapshot.Snapshot, demoRuns bool) {
	fmt.Fprintf(w, "pqfront is serving.\n\n")
	fmt.Fprintf(w, "  https    %-22s HTTP/1.1, HTTP/2 (TCP) and HTTP/3 (UDP)\n", ports.HTTPS)
	fmt.Fprintf(w, "  http     %-22s\n", ports.HTTP)
	fmt.Fprintf(w, "  api      %-22s GET /healthz\n", ports.API)
	fmt.Fprintf(w, "  console  %-22s nothing yet\n\n", ports.Console)
	width := 0
	for _, s := range snap.Sites {
		width = max(width, len(firstName(s)))
	}
	for _, s := range snap.Sites[:min(len(snap.Sites), 20)] {
		fmt.Fprintf(w, "  %-*s  %s  %s\n", width, firstName(s), s.Distribution.ID, s.TLS.Policy.Name)
	}
	if more := len(snap.Sites) - 20; more > 0 {
		fmt.Fprintf(w, "  and %d more distributions\n", more)
	}
	fmt.Fprintf(w, "\nLocal CA: %s\n", caFile)
	if demoRuns {
		writeTries(w, ports.HTTPS, caFile)
	}
	fmt.Fprintf(w, "\nCtrl-C stops it.\n")
}

func firstName(s *snapshot.Site) string {
	return namesOf(s.Distribution)[0]
}

// writeTries prints three commands: one that connects, one that the policy refuses, one
// that only the post-quantum policy refuses.
func writeTries(w io.Writer, https, caFile string) {
	ap, err := netip.ParseAddrPort(https)
	if err != nil {
		return
	}
	hosts := demo.Hosts()
	pq := hosts[len(hosts)-1].Alias
	ca := shellQuote(caFile)
	fmt.Fprintf(w, "\nTry (curl 8 or newer; openssl 3.5 or newer for post-quantum groups):\n")
	fmt.Fprintf(w, "  curl --cacert %s -v https://%s:%d/index.html\n", ca, hosts[1].Alias, ap.Port())
	fmt.Fprintf(w, "  curl --cacert %s -v --tls-max 1.2 https://%s:%d/index.html        # refused: alert protocol version\n", ca, hosts[1].Alias, ap.Port())
	fmt.Fprintf(w, "  openssl s_client -CAfile %s -connect %s -servername %s -groups X25519   # refused: not post-quantum\n", ca, https, pq)
}

// shellQuote makes a path safe to paste.
func shellQuote(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+", r)
	}
	if strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
