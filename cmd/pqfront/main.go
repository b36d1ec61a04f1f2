// Command pqfront is a self-hosted CDN edge that does what Amazon CloudFront does, with
// named TLS security policies and post-quantum key exchange.
package main

import (
	"os"

	"pqfront/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}
