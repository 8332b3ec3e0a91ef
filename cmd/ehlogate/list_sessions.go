package main

import (
	"context"
	"fmt"
	"net/url"

	"ehlogate/cmd/ehlogate/internal/httpapi"
	"ehlogate/cmd/ehlogate/internal/listedit"
	"ehlogate/cmd/ehlogate/internal/running"
)

// showSessions returns what the running daemon knows from logs of the clients that a plan is about, and why the operator should
// think twice; "" if no daemon answers, or it reads no logs.
func (o *options) showSessions(ctx context.Context, p *listedit.Plan) (text, caution string) {
	span := p.Span()
	if span == "" || p.Config().Logs.IsEmpty() {
		return "", ""
	}
	var r httpapi.NetworkClients
	path := "/api/v1/clients?" + url.Values{"network": {span}}.Encode()
	if _, _, err := running.Find(o.config, p.Config()).Get(ctx, path, &r); err != nil {
		return fmt.Sprintf("  logs: not known: %v\n", err), ""
	}
	since := r.Since.Local().Format("2006-01-02 15:04")
	if r.Clients == 0 {
		return fmt.Sprintf("  logs: no session since %s\n", since), ""
	}
	text = fmt.Sprintf("  logs: %s of %s since %s, %s accepted; TLS worked in %d, failed in %d\n", formatCount(int(r.Sessions), "session", "sessions"),
		formatCount(r.Clients, "client", "clients"), since, formatCount(int(r.Messages), "message", "messages"), r.TLS["ok"], r.TLS["failed"])
	if r.Encrypted > 0 && p.Restricts() {
		caution = fmt.Sprintf("%s delivered mail, and TLS worked", formatCount(r.Encrypted, "client", "clients"))
	}
	return text, caution
}
