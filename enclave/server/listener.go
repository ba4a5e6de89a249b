package server

import (
	"errors"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"
)

// Bounds of connections.
const (
	maxConns      = 1024             // of all, with those whose handshake is under way
	connsOfOne    = 64               // of one identity
	writeTime     = 30 * time.Second // a peer that takes no bytes for so long is disconnected
	connectionAge = time.Hour        // then a client connects anew, and shows its certificate again
)

// boundListener closes what is beyond a number of connections, and gives every
// write a deadline.
type boundListener struct {
	net.Listener
	places chan struct{}
}

func newBoundListener(lis net.Listener, conns int) *boundListener {
	return &boundListener{Listener: lis, places: make(chan struct{}, conns)}
}

// Accept implements net.Listener.
func (l *boundListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.places <- struct{}{}:
			return &boundConn{Conn: conn, left: sync.OnceFunc(func() { <-l.places })}, nil
		default:
			_ = conn.Close() // nothing was said yet
		}
	}
}

// boundConn is a connection that counts.
type boundConn struct {
	net.Conn
	left func()
}

// Write implements net.Conn.
func (c *boundConn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// Close implements net.Conn.
func (c *boundConn) Close() error {
	defer c.left()
	return c.Conn.Close()
}

// boundCredentials bounds the connections of one identity.
type boundCredentials struct {
	credentials.TransportCredentials
	most int

	mu    *sync.Mutex
	conns map[string]int
}

func newBoundCredentials(tls credentials.TransportCredentials, most int) *boundCredentials {
	return &boundCredentials{TransportCredentials: tls, most: most, mu: new(sync.Mutex), conns: map[string]int{}}
}

var errTooManyConns = errors.New("server: this identity has as many connections as one may have")

// ServerHandshake implements credentials.TransportCredentials.
func (c *boundCredentials) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := c.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		return nil, nil, err
	}
	who := callerName(info)
	c.mu.Lock()
	full := c.conns[who] >= c.most
	if !full {
		c.conns[who]++
	}
	c.mu.Unlock()
	if full {
		_ = conn.Close()
		return nil, nil, errTooManyConns
	}
	return &identifiedConn{Conn: conn, left: sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.conns[who]--; c.conns[who] == 0 {
			delete(c.conns, who)
		}
	})}, info, nil
}

// Clone implements credentials.TransportCredentials. Counts are shared.
func (c *boundCredentials) Clone() credentials.TransportCredentials {
	clone := *c
	clone.TransportCredentials = c.TransportCredentials.Clone()
	return &clone
}

// identifiedConn is a connection of a counted identity.
type identifiedConn struct {
	net.Conn
	left func()
}

// Close implements net.Conn.
func (c *identifiedConn) Close() error {
	defer c.left()
	return c.Conn.Close()
}

// callerName is what a connection is counted under: its identity, or "" for all
// certificates that speak for none.
func callerName(info credentials.AuthInfo) string {
	id, err := identityIn(info)
	if err != nil {
		return ""
	}
	return id.URI()
}
