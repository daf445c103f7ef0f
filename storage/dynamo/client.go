package dynamo

import (
	"context"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"vigil"
)

// Figures of the retries that the client does by itself.
const (
	maxAttempts = 12
	firstWait   = 25 * time.Millisecond
	longestWait = 2 * time.Second
	attemptTime = 5 * time.Second // for one attempt
	idleConns   = 256             // kept, so that bursts need no new ones
)

// ClientConfig says which service a client talks to.
type ClientConfig struct {
	Region   string // empty: as the AWS settings of the environment say
	Endpoint string // empty: AWS's own
}

// NewClient makes a client with credentials by AWS's usual chain. Throttling, faults of
// the service and of the network are tried again with full jitter. close ends its idle
// connections.
func NewClient(ctx context.Context, c ClientConfig) (client *dynamodb.Client, end func(), err error) {
	options := []func(*config.LoadOptions) error{config.WithRetryer(newRetryer)}
	if c.Region != "" {
		options = append(options, config.WithRegion(c.Region))
	}
	settings, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, nil, vigil.Wrap(err, vigil.CodeInvalid, "The AWS settings of the environment cannot be read.")
	}
	if settings.Region == "" {
		return nil, nil, vigil.Invalid("region", "Say in which AWS region the tables are, for example region=eu-central-1.")
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: attemptTime, ForceAttemptHTTP2: true}
	if usual, ok := settings.HTTPClient.(*awshttp.BuildableClient); ok { // with the certificates that the environment names
		transport = usual.GetTransport()
	}
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = idleConns, idleConns
	client = dynamodb.NewFromConfig(settings, func(o *dynamodb.Options) {
		o.HTTPClient = &http.Client{Transport: transport, Timeout: attemptTime}
		// TLS guards the answers; the client's own checksum complains of every failed condition.
		o.DisableValidateResponseChecksum = true
		if c.Endpoint != "" {
			o.BaseEndpoint = aws.String(c.Endpoint)
		}
	})
	return client, transport.CloseIdleConnections, nil
}

func newRetryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = maxAttempts
		o.MaxBackoff = longestWait
		o.Backoff = retry.BackoffDelayerFunc(func(attempt int, _ error) (time.Duration, error) { return fullJitter(attempt), nil })
		o.RateLimiter = ratelimit.None // the slots bound what is in flight
		o.Retryables = append(o.Retryables, retry.RetryableErrorCode{Codes: map[string]struct{}{"TransactionConflictException": {}}})
	})
}

// fullJitter is a random wait up to a bound that doubles with each attempt, so that those
// who collided do not meet again.
func fullJitter(attempt int) time.Duration {
	bound := longestWait
	if attempt < 7 {
		bound = min(bound, firstWait<<attempt)
	}
	return rand.N(bound)
}

// pause waits before another try, or until the context ends.
func pause(ctx context.Context, attempt int) error {
	t := time.NewTimer(fullJitter(attempt))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
