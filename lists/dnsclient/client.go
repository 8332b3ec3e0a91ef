package dnsclient

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

var _ Resolver = (*Client)(nil)

// aside is for how long a server that did not answer is asked last. After that
// one question tries it, and the others go on without it until it has answered.
const aside = 5 * time.Second

// Client asks resolvers. It is safe for concurrent use, and runs nothing
// between questions.
type Client struct {
	servers []netip.AddrPort
	timeout time.Duration
	tries   int
	now     func() time.Time

	mu     sync.Mutex
	failed []time.Time // when each server last did not answer, or was tried again; zero: it answered since
}

// New gives a client. Without servers every question fails as Unreachable.
func New(cfg Options) *Client {
	c := &Client{
		servers: slices.Clone(cfg.Servers),
		timeout: cfg.Timeout,
		tries:   cfg.Tries,
		now:     time.Now,
		failed:  make([]time.Time, len(cfg.Servers)),
	}
	if c.timeout <= 0 {
		c.timeout = 2 * time.Second
	}
	if c.tries <= 0 {
		c.tries = 3
	}
	return c
}

var errNoServer = errors.New("there is no server to ask")

// Query implements [Asker]. A server that cannot be reached, or that says
// something that is no answer, is not asked again for the same question.
func (c *Client) Query(ctx context.Context, name string, qtype uint16) (Answer, error) {
	fail := func(f failure, server netip.AddrPort) (Answer, error) {
		return Answer{}, &Error{Kind: f.kind, Name: name, Type: qtype, Server: server, Err: f.err}
	}
	q, err := newQuestion(name, qtype)
	if err != nil {
		return fail(failure{Malformed, err}, netip.AddrPort{})
	}
	var (
		worst = failure{Unreachable, errNoServer}
		by    netip.AddrPort
	)
	order := c.order()
	for try := 0; try < c.tries && len(order) > 0; try++ {
		i := order[0]
		order = order[1:]
		if ctx.Err() != nil {
			return fail(failure{Timeout, ctx.Err()}, by)
		}
		a, f := attempt(ctx, c.servers[i], c.timeout, q)
		c.note(ctx, i, f)
		if f == nil {
			a.Server = c.servers[i]
			return a, nil
		}
		if ctx.Err() != nil {
			return fail(failure{Timeout, ctx.Err()}, c.servers[i])
		}
		if try == 0 || f.kind.tells() >= worst.kind.tells() {
			worst, by = *f, c.servers[i]
		}
		if f.kind == Timeout {
			order = append(order, i) // a packet may have been lost
		}
	}
	return fail(worst, by)
}

// order gives the indexes of the servers as one question is to ask them: those
// that failed lately last, and of those first which failed longest ago. If the
// first one failed before, the question is the one that tries it: until that has
// shown something, the next ones take it for failed.
func (c *Client) order() []int {
	order := make([]int, len(c.servers))
	for i := range order {
		order[i] = i
	}
	if len(order) < 2 {
		return order
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	since := now.Add(-aside)
	late := func(i int) time.Time {
		if t := c.failed[i]; t.After(since) {
			return t
		}
		return time.Time{}
	}
	slices.SortStableFunc(order, func(i, j int) int { return late(i).Compare(late(j)) })
	if first := order[0]; !c.failed[first].IsZero() && late(first).IsZero() {
		c.failed[first] = now
	}
	return order
}

// note remembers whether a server answers. Who cancels proves nothing; a
// deadline that ends during an attempt does, or a caller with little time would
// ask the same dead server for ever.
func (c *Client) note(ctx context.Context, i int, f *failure) {
	if len(c.servers) == 1 || errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	var when time.Time
	if f != nil && (f.kind == Timeout || f.kind == Unreachable) {
		when = c.now()
	}
	c.mu.Lock()
	c.failed[i] = when
	c.mu.Unlock()
}

// failure is why an attempt gave no answer.
type failure struct {
	kind Kind
	err  error
}

// broken is the failure of a socket.
func broken(err error) *failure {
	var late net.Error
	if errors.As(err, &late) && late.Timeout() {
		return &failure{Timeout, nil}
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err // Error names the server already
	}
	return &failure{Unreachable, err}
}

// tells ranks what a failure says about the question, and not about the way to
// some server.
func (k Kind) tells() int {
	return [...]int{Unreachable: 0, Timeout: 1, Malformed: 2, Refused: 3, ServFail: 4}[k]
}
