// Package socket holds the WebSockets of a node: it takes requests over, reads and writes frames
// within their limits and rates, pings, and closes. What a socket belongs to is its Peer.
//
// No socket has a goroutine of its own. Its reads come from netpoll, which watches all of them in a
// few goroutines, its pings from one that goes round, and a few flushers write. So a Peer must not
// wait; what waits for the store is done by Conn.Do.
//
// Conn.mu and the mutexes of the flusher, the pings and the server are taken after those of the
// peers. Within Conn.mu the flusher's is; nothing else nests.
package socket
