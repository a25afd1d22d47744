// AlterClientQuotas (KIP-546): the controller decides (controller/quotas.c).
#include "api/call.h"

void api_alter_client_quotas(struct api_call *call) {
    api_to_controller(call, NULL);
}
