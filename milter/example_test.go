package milter_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	gomilter "github.com/emersion/go-milter"

	"ehlogate/lists"
	"ehlogate/milter"
)

// deny suppresses STARTTLS for one client.
type deny netip.Addr

func (addr deny) Decide(_ context.Context, c lists.Client) (d lists.Decision) {
	if c.Addr == netip.Addr(addr) {
		d.Action, d.List = lists.Suppress, &lists.List{Name: "deny"}
	}
	return d
}

// A Server watches SMTP sessions and reports what became of each. It never rejects a client whose STARTTLS is suppressed.
func ExampleServer() {
	server := &milter.Server{
		Decider: deny(netip.MustParseAddr("192.0.2.1")),
		Options: func(lists.Decision) milter.Options { return milter.Options{} },
		Outcome: func(o lists.Outcome, c lists.Client, d lists.Decision) { fmt.Println(c.Addr, o, "by", d.ListName()) },
		Fault:   func(reason string) { fmt.Println("fault:", reason) },
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer listener.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if conn, err := listener.Accept(); err == nil {
			server.Serve(context.Background(), conn)
		}
	}()

	// What Postfix or Sendmail sends.
	client := gomilter.NewClientWithOptions("tcp", listener.Addr().String(), gomilter.ClientOptions{
		ActionMask: gomilter.OptAddHeader | gomilter.OptChangeHeader, ProtocolMask: ^gomilter.OptProtocol(0),
	})
	defer client.Close()
	session, err := client.Session()
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := session.Conn("unknown", gomilter.FamilyInet, 25, "192.0.2.1"); err != nil {
		fmt.Println(err)
	}
	if _, err := session.Helo("client.example"); err != nil {
		fmt.Println(err)
	}
	action, err := session.Mail("sender@client.example", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("MAIL goes on:", action.Code == gomilter.ActContinue)
	session.Close()
	<-done
	// Output:
	// 192.0.2.1 suppressed by deny
	// MAIL goes on: true
}
