// Package page is the status page at "/" of the HTTP socket, for operators with a browser: whether all is well and what to
// do, what is hidden from which clients and why, and everything about one client. It is read-only, has no script, and
// contains and links to nothing outside.
//
// All that it shows is bounded, and escaped by gomponents: clients choose HELO names, and others write feeds.
package page

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed" // of the style
	"encoding/base64"
	"net/http"
	"time"

	"ehlogate/cmd/ehlogate/internal/httpapi"
)

const (
	// renderTime is how long a page may take. What is not known by then is left out, and the page says so.
	renderTime = 3 * time.Second
	// maxPages is how many pages are made at a time. Each costs some CPU time, of which lookups come first.
	maxPages = 2
)

var (
	//go:embed page.css
	style string
	// policy lets a browser load nothing, run nothing, and apply no other style.
	policy = "default-src 'none'; style-src '" + hashStyle() + "'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

func hashStyle() string {
	sum := sha256.Sum256([]byte(style))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// Page is the handler of the page.
type Page struct {
	api   *httpapi.API
	edits editReader
	slots chan struct{} // of pages that are made
}

// New returns the page of a daemon.
func New(api *httpapi.API) *Page {
	return &Page{api: api, edits: newEditReader(), slots: make(chan struct{}, maxPages)}
}

// ServeHTTP implements [http.Handler].
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Security-Policy", policy)
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Type", "text/html; charset=utf-8")
	ctx, cancel := context.WithTimeout(r.Context(), renderTime)
	defer cancel()
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		http.Error(w, "ehlogate makes other pages: try again in a moment", http.StatusServiceUnavailable)
		return
	}
	v := p.newView(ctx, r.URL.RawQuery)
	var page bytes.Buffer
	_ = v.document().Render(&page) // fails only if the buffer does
	if v.Search.Error != "" {
		w.WriteHeader(http.StatusBadRequest)
	}
	_, _ = page.WriteTo(w) // fails only if the client closed the connection
}
