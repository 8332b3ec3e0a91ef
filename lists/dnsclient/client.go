package dnsclient

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"
)

var _ Resolver = (*Client)(nil)

// retryTime is for how long a server that did not answer is tried last. After that one query tries it first, and the
// others go on without it until it has answered.
const retryTime = 5 * time.Second

// Client queries resolvers. It is safe for concurrent use, and runs nothing between queries.
type Client struct {
	servers []netip.AddrPort
	timeout time.Duration
	tries   int
	now     func() time.Time

	mu     sync.Mutex
	failed []time.Time // when each server last did not answer, or was tried again; zero: it has answered since
}

// New returns a Client. Without servers every query fails as Unreachable.
func New(o Options) *Client {
	return &Client{
		servers: slices.Clone(o.Servers),
		timeout: cmp.Or(max(o.Timeout, 0), 2*time.Second),
		tries:   cmp.Or(max(o.Tries, 0), 3),
		now:     time.Now,
		failed:  make([]time.Time, len(o.Servers)),
	}
}

var errNoServer = errors.New("no resolver is configured")

// Query implements [Resolver]. A server that cannot be reached, or whose reply is no answer, is not tried again for the
// same query.
func (c *Client) Query(ctx context.Context, name string, qtype uint16) (Answer, error) {
	fail := func(e *Error) (Answer, error) {
		e.Name, e.Type = name, qtype
		return Answer{}, e
	}
	q, err := newQuery(name, qtype)
	if err != nil {
		return fail(&Error{Kind: Malformed, Err: err})
	}
	worst := &Error{Kind: Unreachable, Err: errNoServer}
	order := c.serverOrder()
	for try := 0; try < c.tries && len(order) > 0; try++ {
		i := order[0]
		order = order[1:]
		if ctx.Err() != nil {
			return fail(&Error{Kind: Timeout, Server: worst.Server, Err: ctx.Err()})
		}
		a, failed := queryServer(ctx, c.servers[i], c.timeout, q)
		c.recordResult(ctx, i, failed)
		if failed == nil {
			a.Server = c.servers[i]
			return a, nil
		}
		failed.Server = c.servers[i]
		if ctx.Err() != nil {
			return fail(&Error{Kind: Timeout, Server: failed.Server, Err: ctx.Err()})
		}
		if try == 0 || failed.Kind >= worst.Kind {
			worst = failed
		}
		if failed.Kind == Timeout {
			order = append(order, i) // a packet may have been lost
		}
	}
	return fail(worst)
}

// serverOrder returns the indexes of the servers in the order for one query: those that failed lately last, and of
// those first the one that failed longest ago. If the first one failed before, the query is the one that tries it
// again: until that has a result, the next queries take it for failed.
func (c *Client) serverOrder() []int {
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
	failedLately := func(i int) time.Time {
		if t := c.failed[i]; t.After(now.Add(-retryTime)) {
			return t
		}
		return time.Time{}
	}
	slices.SortStableFunc(order, func(i, j int) int { return failedLately(i).Compare(failedLately(j)) })
	if first := order[0]; !c.failed[first].IsZero() && failedLately(first).IsZero() {
		c.failed[first] = now
	}
	return order
}

// recordResult notes whether a server answers. A query that the caller cancelled proves nothing; a deadline that ends
// during an attempt does, or callers with little time would try the same dead server for ever.
func (c *Client) recordResult(ctx context.Context, i int, e *Error) {
	if len(c.servers) == 1 || errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	var when time.Time
	if e != nil && (e.Kind == Timeout || e.Kind == Unreachable) {
		when = c.now()
	}
	c.mu.Lock()
	c.failed[i] = when
	c.mu.Unlock()
}
