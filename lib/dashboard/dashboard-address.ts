import { Aws, CfnMapping, Stack } from 'aws-cdk-lib';
import { Construct } from 'constructs';

/** Where the console of each of AWS's partitions is. */
const CONSOLES = {
  aws: { domain: 'console.aws.amazon.com' },
  'aws-cn': { domain: 'console.amazonaws.cn' },
  'aws-us-gov': { domain: 'console.amazonaws-us-gov.com' },
};

/** Under which name and address the dashboard of the scope's stack is found. Apart from the dashboard, because alarms link it. */
export class DashboardAddress extends Construct {
  /** With the region: all regions of an account share the names of dashboards. */
  readonly name = `${Stack.of(this).stackName}-${Aws.REGION}`;

  /** Address in the AWS console. */
  readonly url: string;

  constructor(scope: Construct, id: string) {
    super(scope, id);
    const console = new CfnMapping(this, 'Console', { mapping: CONSOLES }).findInMap(Aws.PARTITION, 'domain');
    this.url = `https://${Aws.REGION}.${console}/cloudwatch/home?region=${Aws.REGION}#dashboards/dashboard/${this.name}`;
  }
}
