package benchmarks

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-milter"
)

// What ehlogate asks for, and asks not to be sent.
var milterMacros = map[milter.Stage][]string{
	milter.StageConnect: {"{client_resolve}", "{daemon_port}"}, milter.StageHelo: {"{tls_version}"},
	milter.StageMailFrom: {"{client_port}", "{tls_version}", "{auth_type}", "{auth_authen}"},
}

const milterSkip = milter.OptNoRcptTo | milter.OptNoBody | milter.OptNoEOH | milter.OptNoHeaders | milter.OptNoData | milter.OptNoUnknown

func init() {
	peers["go-milter"] = func(args []string) error {
		ln, err := net.Listen("unix", args[0])
		if err != nil {
			return err
		}
		return (&milter.Server{NewMilter: func() milter.Milter { return milter.NoOpMilter{} }, Actions: milter.OptSetSymList, Protocol: milterSkip, SymList: milterMacros}).Serve(ln)
	}
}

// What an SMTP session costs over a milter of the same library that does
// nothing.
func TestMilter(t *testing.T) {
	list, clients := million()
	g := startDaemon(t, "", list)
	socket := tempDir(t) + "/milter.sock"
	peer := startPeer(t, "go-milter", socket)
	n := pick(1<<12, 1<<6) // divides the number of clients
	sessions := milterSessions(clients)
	played := 0 // of ours
	cpu := func(name string, pid int, socket string, played *int) side {
		return side{name, func() float64 {
			before := cpuTime(t, pid)
			if err := playMilter(socket, sessions[*played%len(sessions):][:n], 8); err != nil {
				t.Error(err)
			}
			*played += n
			return (cpuTime(t, pid) - before) * 1e6 / float64(n)
		}}
	}
	compare(t, "CPU", "milter session, 8 at a time", "µs", 1.15, pick(9, 1),
		cpu("ehlogate", g.Pid(), g.socket("milter"), &played), cpu("go-milter", peer.Pid(), socket, new(int)))

	// Every second one is suppressed.
	want := fmt.Sprintf(`ehlogate_outcomes_total{outcome="suppressed",protocol="milter"} %d`, played/2)
	if text := metrics(t, g); !strings.Contains(text, want+"\n") {
		t.Errorf("the metrics do not got %s:\n%s", want, text)
	}
	faultless(t, g)
}

// milterSessions are sessions that end after MAIL, as Postfix tells a milter of
// them: what is sent together, and what is answered.
func milterSessions(clients []client) [][]exchange {
	number := func(n uint32) string { return string([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}) }
	pack := func(command byte, data string) []byte {
		return []byte(number(uint32(1+len(data))) + string(command) + data)
	}
	goOn := pack('c', "")
	wants := number(6) + number(uint32(milter.OptSetSymList)) + number(uint32(milterSkip))
	for stage := milter.StageConnect; stage <= milter.StageMailFrom; stage++ {
		wants += number(uint32(stage)) + strings.Join(milterMacros[stage], " ") + "\x00"
	}
	negotiate := exchange{pack('O', number(6)+number(0x1ff)+number(0x1fffff)), pack('O', wants)}
	helo := exchange{pack('H', "mail.example\x00"), goOn}
	mail := exchange{slices.Concat(pack('D', "M{client_port}\x004711\x00"), pack('M', "<a@example>\x00")), goOn}
	leave := exchange{slices.Concat(pack('A', ""), pack('Q', "")), nil}
	var all [][]exchange
	for i, c := range clients {
		family := "4"
		if c.addr.Is6() {
			family = "6"
		}
		port := 1024 + i%60000
		macros := "{client_resolve}\x00FAIL\x00{daemon_port}\x0025\x00"
		connect := exchange{slices.Concat(pack('D', "C"+macros), pack('C', "unknown\x00"+family+number(uint32(port))[2:]+c.addr.String()+"\x00")), goOn}
		all = append(all, []exchange{negotiate, connect, helo, mail, leave})
	}
	return all
}

// playMilter plays sessions, some at a time, each on a connection of its own.
func playMilter(socket string, sessions [][]exchange, atATime int) error {
	errs := make([]error, atATime)
	var wg sync.WaitGroup
	for k := range atATime {
		wg.Go(func() {
			buf := make([]byte, 256)
			for i := k; i < len(sessions) && errs[k] == nil; i += atATime {
				errs[k] = playOne(socket, sessions[i], buf)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func playOne(socket string, steps []exchange, buf []byte) error {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return err
	}
	for _, x := range steps {
		if _, err := conn.Write(x.request); err != nil {
			return fmt.Errorf("saying %q: %w", x.request, err)
		}
		got := buf[:len(x.reply)]
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != string(x.reply) && !negotiated(got, x.reply) {
			return fmt.Errorf("%q: answered %q, %v, want %q", x.request, got, err, x.reply)
		}
	}
	return nil
}

// negotiated reports whether got is as good an answer as want: go-milter says an older version, and lists of macros in any
// order.
func negotiated(got, want []byte) bool {
	const version, lists = 5, 17
	return len(want) > lists && string(got[:version]) == string(want[:version]) && string(got[version+4:lists]) == string(want[version+4:lists])
}
