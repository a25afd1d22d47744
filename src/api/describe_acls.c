// DescribeAcls: there is no authorizer yet, which Kafka answers with SECURITY_DISABLED.
#include "api/call.h"

void api_describe_acls(struct api_call *call) {
    struct message text;
    message_set(&text, "No Authorizer is configured on the broker");
    api_reply_error(call, ERR_SECURITY_DISABLED, &text);
}
