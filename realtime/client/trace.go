package client

import (
	"context"
	"net"
	"net/http/httptrace"
)

// traceConn finds out which network connection an upgrade uses, so that Cut can drop it.
func traceConn(ctx context.Context, conn *net.Conn) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) { *conn = info.Conn },
	})
}
