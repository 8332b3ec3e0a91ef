// Command elsewhere checks that what ships compiles for other systems. It checks types only, from source: to compile the
// standard library for each system would take a minute each. "make everywhere" compiles.
package main

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/tools/go/packages"
)

func main() {
	failed := false
	for _, platform := range os.Args[1:] {
		system, arch, _ := strings.Cut(platform, "/")
		loaded, err := packages.Load(&packages.Config{
			Mode: packages.LoadAllSyntax,
			Env:  append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+arch),
		}, "./cmd/ehlogate")
		if err != nil {
			fmt.Fprintf(os.Stderr, "elsewhere: %s: %v\n", platform, err)
			failed = true
		}
		packages.Visit(loaded, nil, func(p *packages.Package) {
			for _, err := range p.Errors {
				fmt.Fprintf(os.Stderr, "elsewhere: %s: %v\n", platform, err)
				failed = true
			}
		})
	}
	if failed {
		os.Exit(1)
	}
}
