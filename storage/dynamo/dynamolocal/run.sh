# Runs DynamoDB Local: sh run.sh DIRECTORY PORT. It ends when its input ends: also when whoever started it is killed.
cd "$1" || exit 1
java -Xmx1g -XX:+UseSerialGC -Djava.library.path=. -cp '*' com.amazonaws.services.dynamodbv2.local.main.ServerRunner -inMemory -port "$2" </dev/null &
pid=$!
cat >/dev/null
kill "$pid"
wait "$pid"
exit 0
