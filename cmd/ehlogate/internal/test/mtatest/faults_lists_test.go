package mtatest_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/testenv"
)

// TestListFaults does to a list what is done to files. The list goes on as it was, whatever happens to its file.
func TestListFaults(t *testing.T) {
	testenv.Needs(t, "root", "Postfix")
	playBesideOthers(t)
	table := newFaultTable(t, "What happens to the lists")
	r := newEnv(t, table, heldLists, map[string]string{"deny.list": evenDenied()}, nil)
	list := filepath.Join(r.dir, "deny.list")
	for _, f := range []fault{
		{name: "100 edits and 100 reloads a second", do: reloadAndEdit},
		badList("list replaced by a directory", func(*env) error {
			if err := os.Remove(list); err != nil {
				return err
			}
			return os.Mkdir(list, 0o755)
		}),
		badList("list cut short", func(*env) error { return os.Truncate(list, 100) }),
		badList("list emptied", func(*env) error { return os.Truncate(list, 0) }),
		badList("list that may not be read", func(*env) error { return os.Chmod(list, 0) }),
		badList("list of random bytes", func(r *env) error {
			noise := make([]byte, 1<<20)
			rand.Read(noise)
			return r.write("deny.list", string(noise))
		}),
		badList("list of one line of 100 MB", func(r *env) error { return r.write("deny.list", strings.Repeat("1", 100<<20)+"\n") }),
		badList("list deleted, and back", func(*env) error { return os.Remove(list) }),
		{name: "HTTP interface hammered", do: hammer},
	} {
		f.through = both
		r.playFault(t, f)
	}
}

// reloadAndEdit edits the list and asks for a reload, a hundred times in a second.
func reloadAndEdit(ctx context.Context, r *env) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for i := range 100 {
		if err := r.write("deny.list", evenDenied(fmt.Sprintf("192.0.2.%d", i))); err != nil {
			return err
		}
		if err := r.Signal(syscall.SIGHUP); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// badList is a fault of a list that is noticed, and repaired when that has been seen.
func badList(name string, harm func(*env) error) fault {
	return fault{name: name, every: 1000, do: func(ctx context.Context, r *env) error {
		failures, err := r.metric(`ehlogate_list_reload_failures_total{list="deny"}`)
		if err != nil {
			return err
		}
		if err := harm(r); err != nil {
			return err
		}
		if err := r.awaitMetric(ctx, `ehlogate_list_reload_failures_total{list="deny"}`, failures); err != nil {
			return err
		}
		loaded, err := r.metric(`ehlogate_list_loaded_timestamp_seconds{list="deny"}`)
		if err != nil {
			return err
		}
		list := filepath.Join(r.dir, "deny.list")
		if info, err := os.Stat(list); err == nil && info.IsDir() {
			if err := os.Remove(list); err != nil {
				return err
			}
		}
		if err := r.write("deny.list", evenDenied()); err != nil {
			return err
		}
		return r.awaitMetric(ctx, `ehlogate_list_loaded_timestamp_seconds{list="deny"}`, loaded)
	}}
}

// hammer asks everything of the HTTP interface, from twice as many connections as it serves, for a second.
func hammer(ctx context.Context, r *env) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	done := make(chan struct{})
	for range 128 {
		go func() {
			defer func() { done <- struct{}{} }()
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for i := 0; ctx.Err() == nil; i++ {
				path := []string{"/metrics", "/healthz", "/api/v1/lists", "/api/v1/decision?addr=127.0.0.10", "/nonsense"}[i%5]
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.at["http"]+path, nil)
				if err != nil {
					panic(err)
				}
				if resp, err := client.Do(req); err == nil { // connections are taken away at the cap
					_, _ = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
			}
		}()
	}
	for range 128 {
		<-done
	}
	return nil
}

// metric gives the value of one of the metrics.
func (r *env) metric(name string) (float64, error) {
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + r.at["http"] + "/metrics")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\S+)$`).FindSubmatch(body)
	if m == nil {
		return 0, fmt.Errorf("no metric %s", name)
	}
	return strconv.ParseFloat(string(m[1]), 64)
}

// awaitMetric waits until a metric has grown beyond a value, as long as it grows.
func (r *env) awaitMetric(ctx context.Context, name string, beyond float64) error {
	last, since := math.Inf(-1), time.Now()
	for {
		now, err := r.metric(name)
		if err != nil || now > beyond {
			return err
		}
		if now != last {
			last, since = now, time.Now()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is at %v, not beyond %v: %w", name, now, beyond, ctx.Err())
		case <-time.After(10 * time.Millisecond):
			if time.Since(since) > patience {
				return fmt.Errorf("%s stays at %v, not beyond %v", name, now, beyond)
			}
		}
	}
}

// TestDiskFaults keeps config, list and log on a disk that gets full while the list is edited in place.
func TestDiskFaults(t *testing.T) {
	testenv.Needs(t, "root", "Postfix")
	playBesideOthers(t)
	table := newFaultTable(t, "What happens to the disk")
	var disk string
	r := newEnv(t, table, strings.Replace(heldLists, "deny.list", "disk/deny.list", 1), map[string]string{}, func(h *mtatest.Holder) {
		disk = filepath.Join(filepath.Dir(h.Log.Path()), "disk")
		if err := os.Mkdir(disk, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=256k,mode=755"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
		if err := os.WriteFile(filepath.Join(disk, "deny.list"), []byte(evenDenied()), 0o644); err != nil {
			t.Fatal(err)
		}
		h.Output = filepath.Join(disk, "log")
	})
	r.playFault(t, fault{name: "disk full: list half written, log lost", through: both, every: 1000, do: func(ctx context.Context, r *env) error {
		const failures, loaded = `ehlogate_list_reload_failures_total{list="deny"}`, `ehlogate_list_loaded_timestamp_seconds{list="deny"}`
		before, err := r.metric(failures)
		if err != nil {
			return err
		}
		list := filepath.Join(disk, "deny.list")
		long := []byte(evenDenied() + "# " + strings.Repeat("a comment ", 50_000) + "\n") // cut anywhere it is no list
		if err := os.WriteFile(list, long, 0o644); err == nil {
			return fmt.Errorf("%d bytes went on a disk of 256 KB", len(long))
		}
		if err := r.awaitMetric(ctx, failures, before); err != nil {
			return err
		}
		if before, err = r.metric(loaded); err != nil {
			return err
		}
		if err := os.Truncate(filepath.Join(disk, "log"), 0); err != nil {
			return err
		}
		if err := os.WriteFile(list, []byte(evenDenied()), 0o644); err != nil {
			return err
		}
		return r.awaitMetric(ctx, loaded, before)
	}})
}
