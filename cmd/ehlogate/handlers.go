package main

import (
	"bytes"
	"context"
	stdlog "log"
	"net"
	"strings"

	"github.com/sirupsen/logrus"

	"ehlogate/cmd/ehlogate/internal/state"
	"ehlogate/cmd/ehlogate/internal/telemetry"
	"ehlogate/lists"
	"ehlogate/milter"
	"ehlogate/policyd"
	"ehlogate/policyd/delegation"
	"ehlogate/policyd/memcache"
	"ehlogate/policyd/socketmap"
	"ehlogate/policyd/tcptable"
)

// connHandler serves one connection until it ends.
type connHandler = func(context.Context, net.Conn)

// newHandlers returns what serves the connections of each protocol. A new protocol is added here.
func newHandlers(manager *state.Manager, recorder *telemetry.Recorder, http connHandler, log *logrus.Logger) map[string]connHandler {
	backend := func(protocol string, d, cached lists.Decider) policyd.Backend {
		return policyd.Backend{Decider: d, Cached: cached, Values: manager.Values,
			Fault: func(reason string, about []byte) { recorder.Fault(protocol, reason, about) }}
	}
	lookup := func(protocol string, newProtocol func(policyd.Backend) policyd.Protocol) connHandler {
		b := backend(protocol, recorder.LoggedDecider(protocol, manager), recorder.LoggedDecider(protocol, lists.DeciderFunc(manager.DecideCached)))
		p := newProtocol(b)
		return func(ctx context.Context, c net.Conn) { policyd.Serve(ctx, c, p, b.Fault) }
	}
	// Policy and milter log the outcome of a session, and not their decisions.
	review := lists.DeciderFunc(manager.Review)
	policy := &delegation.Server{
		Backend: backend("policy", recorder.Instrumented("policy", review), recorder.Instrumented("policy", lists.DeciderFunc(manager.ReviewCached))),
		Actions: func(d lists.Decision) *delegation.Actions { return &manager.SnapshotOf(d).Config.Policy },
		Outcome: recorder.Outcomes("policy"), TLSVersion: recorder.TLSVersions("policy"),
	}
	stdlog.SetFlags(0)
	stdlog.SetOutput(milterLog{log, recorder}) // go-milter reports broken clients and panics there
	filter := &milter.Server{
		Decider: recorder.Instrumented("milter", review),
		Options: func(d lists.Decision) milter.Options {
			c := manager.SnapshotOf(d).Config
			return milter.Options{RequireReply: c.RequireReply, AddHeader: c.Milter.AddHeader}
		},
		Outcome: recorder.Outcomes("milter"), TLSVersion: recorder.TLSVersions("milter"),
		Fault: func(reason string) { recorder.Fault("milter", reason, nil) },
	}
	return map[string]connHandler{
		"memcache":  lookup("memcache", func(b policyd.Backend) policyd.Protocol { return &memcache.Server{Backend: b} }),
		"socketmap": lookup("socketmap", func(b policyd.Backend) policyd.Protocol { return &socketmap.Server{Backend: b} }),
		"tcp_table": lookup("tcp_table", func(b policyd.Backend) policyd.Protocol { return &tcptable.Server{Backend: b} }),
		"policy":    func(ctx context.Context, c net.Conn) { policyd.Serve(ctx, c, policy.Connection(), policy.Fault) },
		"milter":    filter.Serve,
		"http":      http,
		unknown:     func(context.Context, net.Conn) {}, // a closed connection does less harm than one that waits
	}
}

// milterLog logs the messages of go-milter, at debug. A panic in ehlogate that go-milter caught is a fault, as with every
// other protocol.
type milterLog struct {
	log      *logrus.Logger
	recorder *telemetry.Recorder
}

func (w milterLog) Write(p []byte) (int, error) {
	if bytes.HasPrefix(p, []byte("panic ")) {
		w.recorder.Fault("milter", "panic", p)
	}
	w.log.Debug(strings.TrimSpace(string(p)))
	return len(p), nil
}
