package running

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/server"
	"ehlogate/lists/printable"
)

const (
	// Timeout is how long the daemon may take to answer, besides its own wait for DNS.
	Timeout = 2 * time.Second
	// maxReply is the longest reply in bytes: some 3,000 clients that were learned.
	maxReply = 4 << 20
	// maxError is how much of the error of a daemon is shown, in bytes.
	maxError = 300
	// maxHeader is the longest header of a reply in bytes.
	maxHeader = 64 << 10
)

// Daemon is where the daemon of a config is expected.
type Daemon struct {
	File  string        // the path of its config; "": the built-in defaults
	Addrs []string      // of its HTTP interface; the first that answers counts
	Wait  time.Duration // dns.wait
	Off   bool          // the config names no HTTP address
}

// Find returns where the daemon of a config is expected. cfg is nil if the config cannot be used; name is that of its file,
// "" for the default.
func Find(name string, cfg *config.Config) Daemon {
	d := Daemon{}
	if cfg == nil {
		name = cmp.Or(name, config.DefaultFile)
		d.File, d.Addrs = absPath(name), config.Salvage(name).HTTP
	} else {
		d.File, d.Wait = absPath(cfg.File), cfg.DNS.Wait
		d.Addrs = slices.Clone(cfg.Listen.Addresses["http"])
		d.Off = len(d.Addrs) == 0
	}
	// The service manager may pass the default address, also if the config does not name it.
	for _, a := range config.Defaults().Listen.Addresses["http"] {
		if !slices.Contains(d.Addrs, a) {
			d.Addrs = append(d.Addrs, a)
		}
	}
	return d
}

func absPath(name string) string {
	if abs, err := filepath.Abs(name); err == nil && name != "" {
		return abs
	}
	return name
}

// Get fetches a path of the API, whose reply is JSON with the status of the daemon under the key "daemon", into reply. It
// returns that status and the address that answered. The error says at which addresses no daemon of this config answered,
// and why.
func (d Daemon) Get(ctx context.Context, path string, reply any) (status *Status, addr string, err error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout+d.Wait)
	defer cancel()
	var failed []string
	for _, addr := range d.Addrs {
		status, err := d.getFrom(ctx, addr, path, reply)
		if err == nil {
			return status, addr, nil
		}
		failed = append(failed, fmt.Sprintf("%s (%v)", addr, err))
		if ctx.Err() != nil {
			break
		}
	}
	text := "no daemon with this config answers at " + strings.Join(failed, " or ")
	if d.Off {
		text += `; [listen] has no http address: add http = ["127.0.0.1:10045"], and restart the daemon`
	}
	return nil, "", errors.New(text)
}

// dial connects to an address as in [listen].
func dial(ctx context.Context, addr string) (net.Conn, error) {
	network := "tcp"
	if strings.HasPrefix(addr, "/") {
		network = "unix"
	}
	return new(net.Dialer).DialContext(ctx, network, addr)
}

// fetch returns the reply to a request for a path of the HTTP interface at addr, and its body, which was read.
func fetch(ctx context.Context, addr, path string) (resp *http.Response, body []byte, err error) {
	client := http.Client{
		Transport: &http.Transport{DisableKeepAlives: true, MaxResponseHeaderBytes: maxHeader,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, addr) }},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	// The daemon knows localhost at whatever address it listens, and a URL has no scope as in fe80::1%eth0.
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+path, nil)
	if err != nil {
		return nil, nil, err
	}
	resp, err = client.Do(req)
	if err != nil {
		return nil, nil, explainError(ctx, err)
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	if err != nil {
		return nil, nil, explainError(ctx, err)
	}
	if len(body) > maxReply {
		return nil, nil, fmt.Errorf("its reply is longer than %d bytes", maxReply)
	}
	return resp, body, nil
}

func (d Daemon) getFrom(ctx context.Context, addr, path string, reply any) (*Status, error) {
	resp, body, err := fetch(ctx, addr, path)
	if err != nil {
		return nil, err
	}
	var has struct {
		Daemon *Status
		Error  string
	}
	err = json.Unmarshal(body, &has)
	switch {
	case err == nil && has.Error != "" && resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s: %s", resp.Status, printable.Shorten(printable.Escape(has.Error), maxError))
	case err != nil || has.Daemon == nil:
		return nil, fmt.Errorf("%s: another program, or another version of ehlogate, answers there", resp.Status)
	case resp.StatusCode != http.StatusOK:
		return nil, errors.New(resp.Status)
	case has.Daemon.Config.File != d.File && !server.SameFile(has.Daemon.Config.File, d.File):
		return nil, fmt.Errorf("the daemon there uses %s", cmp.Or(has.Daemon.Config.File, "the built-in defaults"))
	}
	return has.Daemon, json.Unmarshal(body, reply)
}

// explainError returns what went wrong with a request, without the URL.
func explainError(ctx context.Context, err error) error {
	var errno syscall.Errno
	switch {
	case ctx.Err() != nil && errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return errors.New("timeout: it hangs, or is too busy to answer")
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%w: run this as root", syscall.EACCES)
	case errors.Is(err, os.ErrNotExist):
		return errors.New("no such socket")
	case errors.As(err, &errno):
		return errno
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("connection closed before the reply")
	}
	return err
}

// NewStatus returns the status of a daemon of this process, but for its lists.
func NewStatus(version string, cfg *config.Config, loaded time.Time, reloadErr error) Status {
	s := Status{Version: version, PID: os.Getpid(), Lists: []ListFault{},
		Config: ConfigStatus{File: absPath(cfg.File), Digest: cfg.Digest, Loaded: loaded}}
	if reloadErr != nil {
		s.Config.Error = reloadErr.Error()
	}
	return s
}
