package mtatest_test

import (
	"context"
	"fmt"
	"regexp"
	"sync"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/testenv"
)

// screenVariant is one table for postscreen, which answers EHLO itself while it examines a client, all clients in one
// process, and waits for nothing but its table.
type screenVariant struct {
	name, service string
	live          bool // the table is ehlogate
}

var screenVariants = []screenVariant{
	{"memcache, max_try=1, timeout=1", "one", true},
	{"memcache, defaults", "defaults", true},
	{"socketmap", "socketmap", true},
	{"static table", "static", false},
	{"no table", "none", false},
}

// screen is what the parts of TestScreenFaults share.
type screen struct {
	*mtatest.Postfix
	daemon *daemon
	table  *table
}

// TestScreenFaults measures what becomes of a postscreen that asks ehlogate while ehlogate is down or hangs, and that one
// which does not ask it is not affected.
func TestScreenFaults(t *testing.T) {
	testenv.Needs(t, "root", "Postfix")
	t.Parallel()
	s := newScreen(t)
	s.measure(t, "serving", 20, func(v screenVariant, tally mtatest.Tally, died int) bool {
		return died == 0 && tally.Right == 20
	})
	if err := s.daemon.Kill(soon(t)); err != nil {
		t.Fatal(err)
	}
	s.measure(t, "down", 20, func(v screenVariant, tally mtatest.Tally, died int) bool {
		if v.service == "socketmap" {
			return died > 0 && tally.Unanswered == 20
		}
		return died == 0 && tally.Backup == 10 && tally.Right == 10 // the backup offers it to the denied half
	})
	if err := s.daemon.Start(soon(t)); err != nil {
		t.Fatal(err)
	}
	s.measure(t, "started again", 20, func(v screenVariant, tally mtatest.Tally, died int) bool {
		return died == 0 && tally.Right == 20
	})
	if err := s.daemon.Hang(soon(t)); err != nil {
		t.Fatal(err)
	}
	s.measure(t, "hung", 1, func(v screenVariant, tally mtatest.Tally, died int) bool {
		if v.service == "socketmap" {
			return died > 0 && tally.Unanswered == 1
		}
		return died == 0 && tally.Backup == 1
	})
	// However short its timeout, the waits of clients that come together add up, and at ten seconds the watchdog bites.
	s.measure(t, "hung", 20, func(v screenVariant, tally mtatest.Tally, died int) bool {
		return died > 0 && tally.Unanswered > 0
	})
	if err := s.daemon.Resume(); err != nil {
		t.Fatal(err)
	}
	s.measure(t, "running on", 20, func(v screenVariant, tally mtatest.Tally, died int) bool {
		return died == 0 && tally.Right == 20
	})
}

func newScreen(t *testing.T) *screen {
	dir := tempDir(t)
	etc := mtatest.LayoutOf(dir).Config
	s := &screen{
		daemon: startDaemon(t, "daemon", "", nil, faultLists, faultFiles()),
		table:  newTable(t, "Postfix postscreen"),
	}
	socketmap := "socketmap:inet:" + s.daemon.socketmap + ":starttls"
	service := func(name, table string) mtatest.Service {
		return mtatest.Service{Name: name, Command: "postscreen", Options: map[string]string{
			"postscreen_discard_ehlo_keyword_address_maps": table,
			"smtpd_discard_ehlo_keyword_address_maps":      socketmap, // which would be the default
			"postscreen_greet_wait":                        "1s",
			"postscreen_pipelining_enable":                 "yes", // a test that needs EHLO and more
		}}
	}
	static := ""
	for i := 10; i < 210; i += 2 {
		static += fmt.Sprintf("127.0.0.%d starttls\n", i)
	}
	s.Postfix = startPostfix(t, mtatest.PostfixConfig{
		Dir: dir,
		Services: []mtatest.Service{
			service("one", "memcache:"+etc+"/one.cf"), service("defaults", "memcache:"+etc+"/defaults.cf"),
			service("socketmap", socketmap), service("static", "cidr:"+etc+"/static.cidr"), service("none", ""),
		},
		Files: map[string]string{
			"one.cf":      memcacheCF("inet:"+s.daemon.memcache, "starttls:%s", 1, "cidr:/dev/null"),
			"defaults.cf": fmt.Sprintf("memcache = inet:%s\nkey_format = starttls:%%s\nbackup = cidr:/dev/null\n", s.daemon.memcache),
			"static.cidr": static,
		},
	})
	return s
}

// measure lets n clients come to every postscreen at the same time, adds the rows, and has those of a live table judged. A
// static table must always answer as the lists do, and no table must always offer STARTTLS to every client.
func (s *screen) measure(t *testing.T, fault string, n int, ok func(v screenVariant, tally mtatest.Tally, died int) bool) {
	t.Helper()
	var wg sync.WaitGroup
	for _, v := range screenVariants {
		wg.Go(func() {
			mark := s.Maillog().Mark()
			tally := mtatest.Load(context.Background(), n, n, newTraffic(s.Addr(v.service), false, 20*time.Second))
			fatal, err := s.Maillog().Lines(regexp.MustCompile(v.service+`/postscreen\[\d+\]: fatal: `), mark)
			if err != nil {
				t.Error(err)
			}
			note := ""
			if len(fatal) > 0 {
				note = "postscreen dies"
			}
			s.table.add(row{variant: v.name, fault: fault, clients: n, tally: tally, note: note})
			good := false
			switch {
			case v.live:
				good = ok(v, tally, len(fatal))
			case v.service == "static":
				good = len(fatal) == 0 && tally.Right == n
			default:
				good = len(fatal) == 0 && tally.Unanswered == 0 && tally.Backup == (n+1)/2
			}
			if !good || tally.Wrong > 0 {
				t.Errorf("%s, %s, %d clients: %+v %q", v.name, fault, n, tally, fatal)
			}
		})
	}
	wg.Wait()
}
