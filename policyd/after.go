package policyd

import "context"

// afterReply is what is to be done once the replies to the requests at hand have been sent.
type afterReply struct{ todo []func() }

type afterReplyKey struct{}

// AfterReply has f run when the reply to the request that is being answered has been sent, or cannot be sent, and before the
// next request is read: what f needs of the request is still there. It reports false if ctx is none that [Serve] passes to
// [Protocol.Answer]; then f is not run.
//
// It is for what may take a while and does not change the reply, such as a line in the log.
func AfterReply(ctx context.Context, f func()) bool {
	a, ok := ctx.Value(afterReplyKey{}).(*afterReply)
	if ok {
		a.todo = append(a.todo, f)
	}
	return ok
}

// run does what is to be done.
func (a *afterReply) run() {
	for i, f := range a.todo {
		f()
		a.todo[i] = nil
	}
	a.todo = a.todo[:0]
}
