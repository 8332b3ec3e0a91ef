package running

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
)

// Health is what a daemon says of itself.
type Health struct {
	Word    string   `json:"status"`  // "ok", "degraded", "unavailable"; "": the daemon answers, and cannot be asked
	Reasons []string `json:"reasons"` // why it is not "ok"
	Daemon  *Status  `json:"-"`       // nil if Word is ""
	Addr    string   `json:"-"`       // that answered
}

// ErrNoHealth is the error about a daemon that cannot be asked.
var ErrNoHealth = errors.New(`[listen] has neither an http nor a memcache address to ask: add http = ["127.0.0.1:10045"], and restart the daemon`)

// Health asks the daemon whether all is well: over HTTP, or, if the config names no HTTP address and the default one does
// not answer, by the command "version" at one of the memcache addresses. Another error than ErrNoHealth means that the
// daemon does not answer.
func (d Daemon) Health(ctx context.Context, memcache []string) (h Health, err error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout+d.Wait)
	defer cancel()
	h.Daemon, h.Addr, err = d.Get(ctx, "/api/v1/status", new(struct{}))
	switch {
	case err == nil:
		return h, d.getHealth(ctx, &h)
	case !d.Off:
		return h, err
	case len(memcache) == 0:
		return h, ErrNoHealth
	}
	var failed []string
	for _, h.Addr = range memcache {
		if err = askVersion(ctx, h.Addr); err == nil {
			return h, nil
		}
		failed = append(failed, fmt.Sprintf("%s (%v)", h.Addr, err))
	}
	return h, errors.New("no daemon answers at " + strings.Join(failed, " or "))
}

func (d Daemon) getHealth(ctx context.Context, h *Health) error {
	resp, body, err := fetch(ctx, h.Addr, "/healthz")
	if err != nil {
		return fmt.Errorf("%s: /healthz: %w", h.Addr, err)
	}
	if err := json.Unmarshal(body, h); err != nil || !slices.Contains([]int{http.StatusOK, http.StatusServiceUnavailable}, resp.StatusCode) || h.Word == "" {
		return fmt.Errorf("%s: /healthz: status %s, not the reply of this version", h.Addr, resp.Status)
	}
	return nil
}

// askVersion checks that ehlogate answers as a memcached at addr.
func askVersion(ctx context.Context, addr string) error {
	c, err := dial(ctx, addr)
	if err != nil {
		return explainError(ctx, err)
	}
	defer c.Close()
	if end, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(end)
	}
	if _, err := io.WriteString(c, "version\r\n"); err != nil {
		return explainError(ctx, err)
	}
	line, err := bufio.NewReader(io.LimitReader(c, maxError)).ReadString('\n')
	switch {
	case err != nil:
		return explainError(ctx, err)
	case !strings.HasPrefix(line, "VERSION ehlogate"):
		return errors.New("another program answers there")
	}
	return nil
}
