package redisrelay

import (
	"context"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"vigil"
)

// clustered tells whether a URL names a cluster.
func clustered(raw string) bool {
	u, err := url.Parse(raw)
	if err != nil {
		return false
	}
	q := u.Query()
	return q.Has("cluster") || q.Has("addr") && !q.Has("master_name")
}

// opener makes a client of the Redis that a URL names.
type opener func(poolSize int) redis.UniversalClient

// quiet drops what the client library writes to the standard error by itself: every fault
// comes back as an error, too.
type quiet struct{}

// Printf implements the library's logger.
func (quiet) Printf(context.Context, string, ...any) {}

var silence = sync.OnceFunc(func() { redis.SetLogger(quiet{}) })

// callTime bounds one call; it is what a Redis that stands still is noticed by.
const callTime = 2 * time.Second

// open reads a URL:
//
//	redis://user:password@host:6379/0     one server; rediss:// by TLS
//	redis://host:6379?cluster=true        a cluster, found by this node of it
//	redis://host:6379?addr=other:6379     a cluster, found by several
//	redis://host:26379?master_name=vigil  the master that this sentinel names; addr: more sentinels
//	unix:///path/to/socket                one server on this machine
//
// The password may be that of an ACL user. Errors are CodeInvalid with the field "redis"
// and do not repeat the URL, which may hold a password.
func open(raw string) (opener, error) {
	silence()
	u, err := url.Parse(raw)
	if err != nil {
		return nil, vigil.Invalid("redis", "The Redis URL cannot be read; it looks like rediss://user:password@host:6379.")
	}
	switch u.Scheme {
	case "redis", "rediss", "unix":
	default:
		return nil, vigil.Invalid("redis", "The Redis URL must begin with redis://, rediss:// or unix://.")
	}
	if u.Scheme != "unix" && u.Hostname() == "" {
		return nil, vigil.Invalid("redis", "The Redis URL names no host.")
	}
	q := u.Query()
	cluster := q.Has("addr") && !q.Has("master_name")
	switch c := q["cluster"]; {
	case len(c) == 0:
	case len(c) == 1 && (c[0] == "true" || c[0] == "1" || c[0] == ""):
		cluster = true
	default:
		return nil, vigil.Invalid("redis", "cluster in the Redis URL is true, or left out.")
	}
	q.Del("cluster")
	u.RawQuery = q.Encode()
	wrong := func(err error) error {
		return vigil.Invalid("redis", "The Redis URL makes no sense: %s.", strings.ReplaceAll(err.Error(), raw, "it"))
	}
	switch {
	case q.Has("master_name"):
		if cluster {
			return nil, vigil.Invalid("redis", "The Redis URL names a sentinel's master or a cluster, not both.")
		}
		o, err := redis.ParseFailoverURL(u.String())
		if err != nil {
			return nil, wrong(err)
		}
		o.DisableIdentity = true
		o.ContextTimeoutEnabled, o.DialerRetries, o.DialTimeout, o.ReadTimeout, o.WriteTimeout = true, 1, callTime, callTime, callTime
		return func(pool int) redis.UniversalClient {
			c := *o
			c.PoolSize = pool
			return redis.NewFailoverClient(&c)
		}, nil
	case cluster:
		if strings.Trim(u.Path, "/") != "" {
			return nil, vigil.Invalid("redis", "A Redis cluster has no numbered databases: leave the path out of the URL.")
		}
		o, err := redis.ParseClusterURL(u.String())
		if err != nil {
			return nil, wrong(err)
		}
		o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
		o.DisableIdentity = true
		o.ContextTimeoutEnabled, o.DialerRetries, o.DialTimeout, o.ReadTimeout, o.WriteTimeout = true, 1, callTime, callTime, callTime
		return func(pool int) redis.UniversalClient {
			c := *o
			c.PoolSize = pool
			return redis.NewClusterClient(&c)
		}, nil
	}
	o, err := redis.ParseURL(u.String())
	if err != nil {
		return nil, wrong(err)
	}
	o.ContextTimeoutEnabled, o.DialerRetries, o.DialTimeout, o.ReadTimeout, o.WriteTimeout = true, 1, callTime, callTime, callTime
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	o.MaxRetries = -1 // the writers and readers try again by themselves
	return func(pool int) redis.UniversalClient {
		c := *o
		c.PoolSize = pool
		return redis.NewClient(&c)
	}, nil
}

// Check asks a Redis whether the relay can work with it, for an operator who wants to
// know what is wrong: it writes to a stream of its own, reads it back and trims it. It
// returns Redis's time.
func Check(ctx context.Context, raw string) (time.Time, error) {
	connect, err := open(raw)
	if err != nil {
		return time.Time{}, err
	}
	c := connect(2)
	defer c.Close()
	const key = "vigil:{check}:relay"
	id, err := c.XAdd(ctx, &redis.XAddArgs{Stream: key, Values: []any{fieldEntry, entry{layout: 1, node: "check", n: 1}.encode()}}).Result()
	if err != nil {
		return time.Time{}, unreachable("writing", err)
	}
	if _, err := c.XRead(ctx, &redis.XReadArgs{Streams: []string{key, "0-0"}, Count: 1, Block: -1}).Result(); err != nil {
		return time.Time{}, unreachable("reading", err)
	}
	if _, err := tail(ctx, c, key, 1); err != nil {
		return time.Time{}, unreachable("reading back", err)
	}
	if err := trim.Run(ctx, c, []string{key}, time.Minute.Milliseconds(), 1<<20).Err(); err != nil {
		return time.Time{}, unreachable("trimming", err)
	}
	ms, _, ok := parseID(id)
	if !ok {
		return time.Time{}, unreachable("writing", errEntry)
	}
	return time.UnixMilli(int64(ms)), nil
}

func unreachable(what string, err error) error {
	return &vigil.Error{Code: vigil.CodeUnavailable, Field: "redis", Message: "Redis cannot be used: " + what + " failed.", Err: err}
}
